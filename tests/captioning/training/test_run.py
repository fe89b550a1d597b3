"""One training run: the loss, the optimizer, where the weights start, and whole runs."""

import dataclasses
import io
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from captioning import load_model, predict, train
from captioning.data.examples import CaptionData, Example
from captioning.data.load import load_examples, load_sources
from captioning.model.encoder import Encoder
from captioning.training.run import (
    CaptionLoss,
    drawn_examples,
    make_batches,
    make_captioner,
    split_examples,
    train_captioner,
)
from captioning.training.validation import Validation
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary
from shared.training.losses import sequence_cross_entropy
from shared.training.optimizers import make_adamw
from shared.training.replicas import Replicas

PAD, START, END = Vocabulary.PAD, Vocabulary.START, Vocabulary.END


@pytest.fixture(autouse=True)
def noise_may_teach_nothing(monkeypatch):
    """Images of noise often get one caption; `test_start.py` has what is said then."""
    monkeypatch.setattr(Validation, "check_learned", lambda *arguments: None)


# The loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_over_all_words_that_are_there(smoothing, captioner):
    random = np.random.default_rng(1)
    tokens = random.integers(4, len(captioner.vocabulary), (3, 2, 7)).astype(np.int32)
    tokens[..., 0] = START
    for image, caption, length in ((0, 0, 6), (0, 1, 3), (1, 0, 4), (2, 0, 2), (2, 1, 5)):
        tokens[image, caption, length] = END
        tokens[image, caption, length + 1 :] = PAD
    tokens[1, 1] = PAD  # an image with one caption only
    features = random.normal(size=(3, captioner.encoder.grid[0] ** 2, captioner.encoder.channels))
    batch = {"features": features.astype(np.float32), "tokens": tokens}
    loss = float(CaptionLoss(smoothing)(captioner, batch))

    logits = captioner.decoder(batch["features"], tokens[:, :, :-1]).numpy().astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    targets = tokens[:, :, 1:]
    right = np.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    losses = -(1 - smoothing) * right - smoothing * log_probs.mean(axis=-1)
    assert (targets != PAD).sum() == 6 + 3 + 4 + 2 + 5
    assert loss == pytest.approx(losses[targets != PAD].mean(), abs=1e-5)
    whole = sequence_cross_entropy(targets, logits, targets != PAD, label_smoothing=smoothing)
    assert loss == pytest.approx(float(whole), abs=1e-5)


# The optimizer


def test_only_matrices_decay(captioner):
    optimizer = make_adamw(0.1, weight_decay=0.5)
    trained = captioner.trainable_variables
    before, after = [variable.numpy() for variable in trained], {}
    optimizer.build(trained)
    optimizer.apply([np.zeros(variable.shape, np.float32) for variable in trained], trained)
    for variable, value in zip(trained, before, strict=True):
        after[variable.path] = (variable.numpy(), value)
        variable.assign(value)
    decayed = {path for path, (now, then) in after.items() if not np.array_equal(now, then)}
    kernels = {path for path in after if path.endswith("kernel")}
    assert kernels
    assert decayed == kernels
    now, then = after[sorted(kernels)[0]]
    np.testing.assert_allclose(now, then * (1 - 0.1 * 0.5), rtol=1e-5)


# Where the weights start


def test_a_new_run_keeps_the_words_of_its_training_captions(tmp_path, settings, examples_of, make_run):
    data = CaptionData("tiny", (*examples_of(3), Example("x", b"", ("a zebra",), "validation")))
    captioner = make_captioner(settings(), make_run(tmp_path / "run", settings()), data, resume=False)
    assert {"dog", "cat", "cats"} <= set(captioner.vocabulary.tokens)
    assert "zebra" not in captioner.vocabulary.tokens
    assert Vocabulary.load(tmp_path / "run" / "vocabulary.json") == captioner.vocabulary
    with pytest.raises(UserError, match=r"No word occurs 50 times.*--min-count"):
        make_captioner(settings(min_count=50), make_run(tmp_path / "b", settings()), data, resume=False)


def test_words_of_an_attempt_that_saved_nothing_do_not_stay(tmp_path, settings, make_run, new_captioner):
    new_captioner(tmp_path / "run")
    other = CaptionData("other", (Example("x", b"", ("zebras graze",), "train"),))
    run = make_run(tmp_path / "run", settings())
    assert "zebras" in make_captioner(settings(), run, other, resume=False).vocabulary.tokens
    assert "zebras" in make_captioner(settings(), run, CaptionData("none", ()), resume=True).vocabulary.tokens


@pytest.fixture
def start(tmp_path, new_captioner):
    """A finished run."""
    captioner = new_captioner(tmp_path / "start")
    RunFolder(tmp_path / "start", {}).save_best_weights(captioner)
    return captioner


def test_init_from_takes_words_and_weights(start, tmp_path, settings, make_run):
    config = settings(init_from=str(tmp_path / "start"), seed=8, encoder_weights="imagenet")
    other = CaptionData("other", (Example("x", b"", ("two dogs",), "train"),))
    captioner = make_captioner(config, make_run(tmp_path / "run", config), other, resume=False)
    assert captioner.vocabulary == start.vocabulary
    assert Vocabulary.load(tmp_path / "run" / "vocabulary.json") == start.vocabulary
    for ours, theirs in zip(captioner.get_weights(), start.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": 8}, "train with --units 6"),
        ({"cell": "gru", "depth": 2}, "train with --cell lstm, --depth 1"),
        ({"decoder": "soft_attention"}, "train with --decoder late_attention"),
    ],
)
def test_init_from_a_model_of_other_sizes_says_what_to_ask_for(
    change, message, start, tmp_path, settings, make_run
):
    config = settings(init_from=str(tmp_path / "start"), **change)
    data = CaptionData("known", (Example("x", b"", ("two dogs",), "train"),))
    with pytest.raises(UserError, match=f"other sizes.*{message}\\."):
        make_captioner(config, make_run(tmp_path / "run", config), data, resume=False)


def test_init_from_nothing_and_from_an_export_is_refused(tmp_path, settings, make_run):
    config = settings(init_from=str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="no model"):
        make_captioner(config, make_run(tmp_path / "run", config), CaptionData("none", ()), resume=False)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "saved_model.pb").touch()
    config = settings(init_from=str(tmp_path / "export"))
    with pytest.raises(UserError, match="can be neither trained nor exported again"):
        make_captioner(config, make_run(tmp_path / "run", config), CaptionData("none", ()), resume=False)


# Whole runs


def split_by_kind(model):
    """Kernels, and moving averages of batch norms, of the encoder."""
    named = {variable.path: variable.numpy() for variable in model.encoder.backbone.variables}
    norms = {path: value for path, value in named.items() if "moving" in path}
    return [value for path, value in named.items() if path.endswith("kernel")], list(norms.values())


def test_batch_norms_learn_from_nothing_and_stay_when_they_were_trained(
    source_file, tmp_path, settings, make_run
):
    config = settings(data=source_file)
    run = make_run(tmp_path / "first", config)
    result = train_captioner(config, run, load_examples(source_file))
    assert np.isfinite(list(result.best_metrics.values())).all()
    trained = load_model(run.path)
    kernels, norms = split_by_kind(trained)
    assert all(np.abs(value - value.flat[0]).max() > 0 for value in norms)  # they begin as zeros and ones

    config = settings(data=source_file, init_from=str(run.path))
    train_captioner(config, make_run(tmp_path / "second", config), load_examples(source_file))
    tuned = load_model(tmp_path / "second")
    assert tuned.encoder.trainable
    tuned_kernels, tuned_norms = split_by_kind(tuned)
    for before, after in zip(norms, tuned_norms, strict=True):
        np.testing.assert_array_equal(before, after)
    assert any((before != after).any() for before, after in zip(kernels, tuned_kernels, strict=True))


def test_a_run_on_cached_features_leaves_the_encoder_alone_and_resumes(
    source_file, tmp_path, settings, make_run
):
    config = settings(data=source_file, train_encoder=False, epochs=2)
    whole, parts = make_run(tmp_path / "whole", config), make_run(tmp_path / "parts", config)
    data = load_examples(source_file)
    train_captioner(config, whole, data, cache_dir=tmp_path / "cache")

    def run_parts(resume):
        train_captioner(config, parts, data, resume=resume, cache_dir=tmp_path / "cache")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Validation, "__call__", stop_in_epoch_two(Validation.__call__))
        with pytest.raises(KeyboardInterrupt):
            run_parts(resume=False)
    assert len(parts.read_history()) == 1
    run_parts(resume=True)
    assert [row["val_cider"] for row in parts.read_history()] == [
        row["val_cider"] for row in whole.read_history()
    ]
    keras.utils.set_random_seed(config.seed)
    begun = Encoder("small_cnn", weights=None, image_size=config.image_size).backbone.get_weights()
    ended = load_model(parts.path).encoder.backbone.get_weights()
    for before, after in zip(begun, ended, strict=True):
        np.testing.assert_array_equal(before, after)


def stop_in_epoch_two(evaluate):
    def wrapped(self, epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        return evaluate(self, epoch)

    return wrapped


def test_data_without_a_validation_split_are_refused(tmp_path, settings, make_run):
    file = tmp_path / "captions.csv"
    Image.new("RGB", (5, 7)).save(tmp_path / "x.png")
    file.write_text("image,caption,split\nx.png,a dog,train\n")
    config = settings(data=str(file))
    with pytest.raises(UserError, match="has no validation split"):
        train_captioner(config, make_run(tmp_path / "run", config), load_examples(file))


# Several sources


def of_sources(examples_of, **counts):
    """Images of several sources: so many for training, and for validation."""
    return CaptionData(
        "several",
        tuple(
            dataclasses.replace(example, image_id=f"{source}/{example.image_id}", source=source)
            for seed, (source, (train, held_out)) in enumerate(counts.items())
            for example in (
                *examples_of(train, seed=seed),
                *examples_of(held_out, split="validation", seed=seed + 10),
            )
        ),
    )


def test_a_source_without_validation_images_is_trained_on(examples_of, capsys):
    data = of_sources(examples_of, birds=(3, 2), cats=(2, 0))
    training, validation = split_examples(data)
    assert "cats has no validation images: it is trained on, but not validated." in capsys.readouterr().out
    assert [e.source for e in training] == ["birds"] * 3 + ["cats"] * 2
    assert [e.source for e in validation] == ["birds"] * 2
    with pytest.raises(UserError, match="has no validation split: its images are in train"):
        split_examples(of_sources(examples_of, birds=(3, 0), cats=(2, 0)))


@pytest.fixture
def photograph():
    """A smooth picture, as a file in a size and a quality."""

    def make(seed, size=(64, 48), quality=90):
        grid = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(grid).resize((256, 192), Image.Resampling.BICUBIC).resize(size).save(
            file, "JPEG", quality=quality
        )
        return file.getvalue()

    return make


def test_a_photograph_on_both_sides_is_kept_out_of_training(photograph, capsys):
    data = CaptionData(
        "two",
        (
            *(Example(f"a/{n}", photograph(n), ("x",), "train", "a") for n in range(4)),
            Example("b/copy", photograph(1, (120, 80), 40), ("x",), "validation", "b"),
            Example("b/other", photograph(9), ("x",), "validation", "b"),
            Example("b/tested", photograph(3, (50, 50), 60), ("x",), "test", "b"),
        ),
    )
    training, validation = split_examples(data)
    assert [example.image_id for example in training] == ["a/0", "a/2"]
    assert [example.image_id for example in validation] == ["b/copy", "b/other"]
    told = capsys.readouterr().out
    assert "2 training images show photographs that are also in validation or test" in told
    assert "the first: a/1, which shows the same as b/copy." in told
    alone = dataclasses.replace(data, examples=(data.examples[1], *data.examples[4:]))
    with pytest.raises(UserError, match="No training image is left"):
        split_examples(alone)


def test_one_source_is_not_searched_for_copies(examples_of, monkeypatch):
    monkeypatch.setattr("captioning.training.run.shared_photographs", lambda *sides: pytest.fail("searched"))
    data = CaptionData("one", (*examples_of(3), *examples_of(2, split="validation")))
    assert len(split_examples(data)[0]) == 3


def batches_of(config, data):
    training = [example for example in data.examples if example.split == "train"]
    source = SimpleNamespace(examples=training, batch=lambda rows, random: {"features": rows})
    return make_batches(config, data.sources, source, Vocabulary.build([["a"]]))


def test_mix_and_weights_belong_to_the_sources_in_their_order(settings, examples_of):
    data = of_sources(examples_of, birds=(6, 1), cats=(2, 1))
    config = settings(data=("birds", "cats"), mix=(1, 3), source_weights=(1.0, 0.25), batch_size=4)
    batches = list(batches_of(config, data)(1))
    rows = np.concatenate([batch["features"] for batch in batches])
    assert ((rows < 6).sum(), (rows >= 6).sum()) == (2, 6)
    for batch in batches:
        np.testing.assert_array_equal(batch["weights"], np.where(batch["features"] < 6, 1.0, 0.25))
    plain = list(batches_of(settings(data=("birds", "cats")), data)(1))
    assert all("weights" not in batch for batch in plain)


def test_a_source_of_share_zero_is_not_trained_on(settings, examples_of):
    data = of_sources(examples_of, birds=(4, 1), cats=(3, 1))
    sources, training = ("birds", "cats"), data.split("train")
    drawn = drawn_examples(settings(data=sources, mix=(0.0, 2.0)), sources, training)
    assert [example.source for example in drawn] == ["cats"] * 3
    assert drawn_examples(settings(data=sources), sources, training) == training
    with pytest.raises(UserError, match="No source with a share above 0 in --mix has training images"):
        drawn_examples(settings(data=sources, mix=(0.0, 2.0)), sources, training[:4])


def test_a_mix_leaves_out_a_source_without_training_images(settings, examples_of):
    data = of_sources(examples_of, birds=(4, 1), cats=(0, 2))
    batches = batches_of(settings(data=("birds", "cats"), mix=(1, 3), batch_size=4), data)
    assert sorted(next(batches(1))["features"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_weights_of_images_count_in_the_loss(smoothing, captioner):
    random = np.random.default_rng(1)
    tokens = random.integers(4, len(captioner.vocabulary), (3, 2, 6)).astype(np.int32)
    tokens[0, 1, 4:] = tokens[2, 0, 2:] = PAD
    features = random.normal(size=(3, captioner.encoder.grid[0] ** 2, captioner.encoder.channels))
    batch = {"features": features.astype(np.float32), "tokens": tokens}
    weights = np.float32([1.0, 0.25, 2.0])
    loss = float(CaptionLoss(smoothing)(captioner, {**batch, "weights": weights}))

    logits = captioner.decoder(batch["features"], tokens[:, :, :-1]).numpy().astype(np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    targets = tokens[:, :, 1:]
    right = np.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    losses = -(1 - smoothing) * right - smoothing * log_probs.mean(axis=-1)
    counts = (targets != PAD) * weights[:, None, None]
    assert loss == pytest.approx((losses * counts).sum() / counts.sum(), abs=1e-5)
    plain = float(CaptionLoss(smoothing)(captioner, batch))
    assert abs(plain - loss) > 1e-4
    equal = float(CaptionLoss(smoothing)(captioner, {**batch, "weights": np.ones(3, np.float32)}))
    assert equal == pytest.approx(plain, rel=1e-6)


# Training of the encoder


class Recorder:
    """Validation that also keeps the weights of the encoder after each epoch, not averaged."""

    def __init__(self, monkeypatch):
        self.backbones = []
        evaluate = Validation.__call__

        def record(validation, epoch):
            backbone = validation.images._captioner.encoder.backbone
            self.backbones.append({v.path: v.numpy() for v in backbone.variables})
            return evaluate(validation, epoch)

        monkeypatch.setattr(Validation, "__call__", record)


def changed(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_the_encoder_learns_from_its_epoch_on_in_its_last_blocks(
    source_file, tmp_path, settings, make_run, monkeypatch
):
    config = settings(
        data=source_file, init_from=str(tmp_path / "start"), encoder_from_epoch=2, encoder_blocks=2, epochs=3
    )
    start = make_captioner(settings(), make_run(tmp_path / "start"), load_examples(source_file), resume=False)
    RunFolder(tmp_path / "start", {}).save_best_weights(start)
    begun = {v.path: v.numpy() for v in start.encoder.backbone.variables}
    recorder = Recorder(monkeypatch)
    train_captioner(config, make_run(tmp_path / "run", config), load_examples(source_file))
    first, second, third = recorder.backbones
    assert changed(begun, first) == set()
    assert (
        changed(first, second) == changed(second, third) == {"mix/kernel", "mix_norm/gamma", "mix_norm/beta"}
    )


def test_the_encoder_has_its_own_rate(source_file, tmp_path, settings, make_run, monkeypatch):
    """The first step of Adam is the rate: of one step an epoch, that of the second is known in its ratio."""
    changes = {}
    for rate in (1.0, 0.125):
        config = settings(
            data=source_file,
            encoder_rate=rate,
            batch_size=5,
            warmup_steps=0,
            weight_decay=0.0,
            average_decay=0.0,
        )
        run = make_run(tmp_path / str(rate), config)
        keras.utils.set_random_seed(config.seed)
        begun = make_captioner(config, run, load_examples(source_file), resume=False).encoder.backbone
        begun = {v.path: v.numpy() for v in begun.trainable_variables}
        train_captioner(config, run, load_examples(source_file))
        ended = {v.path: v.numpy() for v in load_model(run.path).encoder.backbone.trainable_variables}
        changes[rate] = np.concatenate([np.ravel(ended[path] - begun[path]) for path in begun])
    moved = np.abs(changes[1.0]) > 1e-4
    assert moved.mean() > 0.5
    np.testing.assert_allclose(changes[0.125][moved], 0.125 * changes[1.0][moved], rtol=0.02, atol=1e-6)


def test_more_blocks_than_there_are_are_refused(source_file, tmp_path, settings, make_run):
    config = settings(data=source_file, encoder_blocks=99)
    with pytest.raises(UserError, match="small_cnn has 8 blocks, so its last 99 cannot be trained"):
        train_captioner(config, make_run(tmp_path / "run", config), load_examples(source_file))


# Whole runs of several sources


EVERYTHING = {
    "epochs": 3,
    "encoder_from_epoch": 2,
    "encoder_rate": 0.5,
    "encoder_blocks": 4,
    "batch_size": 2,
    "mix": (1.0, 2.0),
    "source_weights": (1.0, 0.5),
    "mirror": True,
    "crop": 0.5,
    "brightness": 0.3,
    "dropout": 0.3,
}


SELF_CRITICAL = {"self_critical": 3, "samples": 2, "batch_size": 2, "dropout": 0.3, "train_encoder": False}
TAUGHT = {"epochs": 3, "teachers": ("start",), "batch_size": 2, "dropout": 0.3, "train_encoder": False}


@pytest.mark.parametrize(
    "changes", [EVERYTHING, SELF_CRITICAL, TAUGHT], ids=["views", "self-critical", "teachers"]
)
def test_a_resumed_run_on_two_sources_is_equal_bit_for_bit(
    changes, make_source, start, tmp_path, settings, make_run, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # where the teacher is
    sources = (make_source("birds"), make_source("cats", train=4, validation=1, seed=3))
    config, data = settings(data=sources, init_from=str(tmp_path / "start"), **changes), load_sources(sources)
    whole, parts = make_run(tmp_path / "whole", config), make_run(tmp_path / "parts", config)
    result = train_captioner(config, whole, data, cache_dir=tmp_path)
    assert len(whole.read_history()) == 3
    assert set(result.best_metrics) >= {"val_cider", "val_cider_birds", "val_cider_cats"}
    with monkeypatch.context() as patch:
        patch.setattr(Validation, "__call__", stop_in_epoch_two(Validation.__call__))
        with pytest.raises(KeyboardInterrupt):
            train_captioner(config, parts, data, cache_dir=tmp_path)
    train_captioner(config, parts, data, resume=True, cache_dir=tmp_path)
    assert parts.history_file.read_bytes() == whole.history_file.read_bytes()
    with np.load(whole.last_checkpoint) as expected, np.load(parts.last_checkpoint) as resumed:
        assert set(resumed) == set(expected)
        for name in expected:
            np.testing.assert_array_equal(resumed[name], expected[name], err_msg=name)


def test_self_critical_training_is_not_shared_among_replicas(settings):
    replicas = Replicas()
    replicas.count = 2
    config = settings(self_critical=1, init_from="photos")
    with pytest.raises(UserError, match="--self-critical cannot be shared"):
        train_captioner(config, None, None, replicas=replicas)


def test_a_run_of_an_earlier_version_resumes(source_file, tmp_path, settings, make_run, monkeypatch):
    config = settings(data=source_file, train_encoder=False, epochs=2)
    run = make_run(tmp_path / "run", config)
    with monkeypatch.context() as patch:
        patch.setattr(Validation, "__call__", stop_in_epoch_two(Validation.__call__))
        with pytest.raises(KeyboardInterrupt):
            train_captioner(config, run, load_examples(source_file), cache_dir=tmp_path / "cache")
    file = run.path / "config.json"
    record = json.loads(file.read_text())
    for name in ("mix", "source_weights", "encoder_blocks", "encoder_rate", "encoder_from_epoch", "crop"):
        del record["config"][name]
    record["config"]["data"] = source_file
    file.write_text(json.dumps(record))
    assert train.main(["--out", str(run.path), "--resume", "--cache", str(tmp_path / "cache")]) == 0
    assert [row["epoch"] for row in run.read_history()] == [1, 2]
    assert json.loads(file.read_text()) == record


def test_captions_that_a_model_wrote_are_a_source(source_file, tmp_path, start, capsys, monkeypatch):
    """predict writes them for a folder of photographs, and they are trained on with half the weight."""
    random, written = np.random.default_rng(8), tmp_path / "written" / "captions.jsonl"
    for folder in ("written", "photos"):
        (tmp_path / folder).mkdir()
    for number in range(4):
        pixels = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    model = str(tmp_path / "start")
    assert predict.main(["photos", "--model", model, "--format", "jsonl", "--output", str(written)]) == 0
    options = (
        "--encoder small_cnn --encoder-weights none --image-size 32 --units 6 --num-heads 2 --min-count 1"
    )
    arguments = [*options.split(), "--epochs", "1", "--batch-size", "3", "--cache", "cache", "--out", "run"]
    data = ["--data", source_file, str(written), "--source-weights", "1", "0.5"]
    assert train.main([*data, *arguments]) == 0
    assert "written has no validation images: it is trained on, but not validated." in capsys.readouterr().out
    examples = load_sources([source_file, str(written)])
    assert len(examples.split("train")) == 5 + 4
    assert {e.split for e in examples.examples if e.source == "written"} == {"train"}
    with pytest.raises(UserError, match="has no validation split"):
        train.main(["--data", str(written), *arguments[:-1], "alone"])
