"""One training run: the loss, the validation, where images come from, and where the weights start."""

import dataclasses
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from captioning import load_model
from captioning.config import CaptioningConfig
from captioning.data.examples import CaptionData, Example
from captioning.data.images import resize
from captioning.data.load import load_examples
from captioning.model.captions import Caption
from captioning.model.encoder import Encoder
from captioning.training.run import (
    CaptionLoss,
    FeatureSource,
    PixelSource,
    Validation,
    make_captioner,
    train_captioner,
)
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary
from shared.training.losses import sequence_cross_entropy
from shared.training.optimizers import make_adamw

SIZE = 32
PAD, START, END = Vocabulary.PAD, Vocabulary.START, Vocabulary.END
TINY = CaptioningConfig(
    encoder="small_cnn",
    encoder_weights="none",
    image_size=SIZE,
    train_encoder=True,
    units=6,
    num_heads=2,
    min_count=1,
    max_length=5,
    captions_per_image=2,
    batch_size=3,
    epochs=1,
    learning_rate=0.01,
    dropout=0.0,
    input_dropout=0.0,
    validation_beams=2,
)
SENTENCES = ("a red dog", "a cat runs", "two dogs", "the red cat sleeps", "a dog runs", "two cats", "a cat")


def settings(**changes):
    return dataclasses.replace(TINY, **changes)


def examples_of(count, bad=(), split="train"):
    """Images of noise with two captions each; the `bad` ones cannot be read."""
    random = np.random.default_rng(5)
    return [
        Example(
            f"{split}-{number}",
            b"no image" if number in bad else random.integers(0, 256, (20 + number, 31, 3), dtype=np.uint8),
            (SENTENCES[number], SENTENCES[-number]),
            split,
        )
        for number in range(count)
    ]


def make_run(path, config):
    return RunFolder.create(path, dataclasses.asdict(config), "captioning")


def new_captioner(path, config=TINY):
    data = CaptionData("tiny", tuple(examples_of(5)))
    return make_captioner(config, make_run(path, config), data, resume=False)


@pytest.fixture(scope="module")
def captioner(tmp_path_factory):
    keras.utils.set_random_seed(3)
    return new_captioner(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def source_file(tmp_path_factory):
    """A captions file with five images for training and two for validation."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(2)
    with (folder / "captions.jsonl").open("w") as file:
        for number, sentence in enumerate(SENTENCES):
            pixels = random.integers(0, 256, (33, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            split = "train" if number < 5 else "validation"
            file.write(json.dumps({"image": f"{number}.png", "caption": sentence, "split": split}) + "\n")
    return str(folder / "captions.jsonl")


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


# Validation


class Parrot:
    """A source whose captions are given."""

    def __init__(self, examples, sentences):
        self.examples, self.sentences, self.asked = examples, sentences, []

    def caption(self, rows, **options):
        self.asked.append(options)
        return [[Caption.of(sentence.split(), -1.0, 3)] for sentence in self.sentences[rows]]


def test_validation_of_perfect_captions(tmp_path):
    examples = [
        Example(
            f"image {number}", b"", (f"{sentence} on the grass", f"{sentence} on the grass"), "validation"
        )
        for number, sentence in enumerate(SENTENCES[:5])
    ]
    source = Parrot(examples, [example.captions[0] for example in examples])
    run, config = make_run(tmp_path / "run", TINY), settings(batch_size=1)  # batches of 4 and 1
    metrics = Validation(source, run, config)(epoch=7)
    assert metrics == {"val_cider": pytest.approx(10.0), "val_exact": 1.0}
    assert source.asked == [{"num_beams": 2, "max_length": 5}] * 2
    samples = run.samples_file.read_text()
    assert samples.startswith("epoch 7\n")
    assert f"image 0: {examples[0].captions[0]}" in samples


def test_validation_counts_what_is_exactly_one_of_the_references(tmp_path):
    examples = examples_of(4, split="validation")
    said = [examples[0].captions[0], examples[1].captions[1], "a dog", "nothing of this"]
    metrics = Validation(Parrot(examples, said), make_run(tmp_path / "run", TINY), TINY)(epoch=1)
    assert metrics["val_exact"] == 0.5
    assert 0 < metrics["val_cider"] < 10


# Where images come from


def features_alone(captioner, example, mirrored=False):
    image = resize(example.load(), SIZE)
    return captioner.encoder((image[:, ::-1] if mirrored else image)[None])[0].numpy()


def test_features_follow_the_examples_past_an_unreadable_image(captioner, tmp_path, capsys):
    examples = examples_of(6, bad={2})
    source = FeatureSource(captioner, examples, tmp_path, mirror=True)
    assert source.examples == [*examples[:2], *examples[3:]]
    assert "1 images cannot be read and are left out" in capsys.readouterr().out
    rows, random, twin = np.array([4, 0, 2, 3, 1]), np.random.default_rng(8), np.random.default_rng(8)
    flips = twin.random(5) < 0.5
    assert 0 < flips.sum() < 5
    features = source.batch(rows, random)["features"]
    expected = [
        features_alone(captioner, source.examples[row], flip) for row, flip in zip(rows, flips, strict=True)
    ]
    np.testing.assert_allclose(features, np.stack(expected), atol=5e-3)
    captions = source.caption(slice(1, 4), num_beams=2, max_length=5)
    pixels = np.stack([resize(example.load(), SIZE) for example in source.examples[1:4]])
    alone = captioner.caption(pixels, num_beams=2, max_length=5)
    assert [c[0].tokens for c in captions] == [c[0].tokens for c in alone]


def test_plain_and_mirrored_features_that_miss_different_images_line_up(captioner, tmp_path, monkeypatch):
    examples, images = examples_of(5), np.arange(5, dtype=np.float16)[:, None, None]

    def extract(examples, encoder, cache_dir, flip=False):
        there = [0, 3, 4] if flip else [0, 1, 2, 4]
        index = {examples[number].image_id: row for row, number in enumerate(there)}
        return SimpleNamespace(array=images[there] + (100 if flip else 0), index=index, problems=["bad"])

    monkeypatch.setattr("captioning.training.run.extract_features", extract)
    source = FeatureSource(captioner, examples, tmp_path, mirror=True)
    assert source.examples == [examples[0], examples[4]]
    drawn = source.batch(np.array([0, 1] * 9), np.random.default_rng(0))["features"].ravel().reshape(9, 2)
    assert [set(column) for column in drawn.T] == [{0, 100}, {4, 104}]


def test_pixels_follow_the_examples_past_an_unreadable_image(captioner, tmp_path, capsys):
    examples = examples_of(5, bad={0, 3})
    source = PixelSource(captioner, examples, tmp_path, mirror=False)
    assert source.examples == [examples[1], examples[2], examples[4]]
    assert "2 images cannot be read and are left out; the first: train-0" in capsys.readouterr().out
    pixels = source.batch(np.array([2, 0]), np.random.default_rng(0))["images"]
    np.testing.assert_array_equal(pixels[0], resize(examples[4].load(), SIZE))
    np.testing.assert_array_equal(pixels[1], resize(examples[1].load(), SIZE))
    assert len(source.caption(slice(1, 3), max_length=5)) == 2
    with pytest.raises(UserError, match="None of 2 images can be read"):
        PixelSource(captioner, examples_of(2, bad={0, 1}), tmp_path, mirror=False)


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


def test_a_new_run_keeps_the_words_of_its_training_captions(tmp_path):
    data = CaptionData("tiny", (*examples_of(3), Example("x", b"", ("a zebra",), "validation")))
    captioner = make_captioner(TINY, make_run(tmp_path / "run", TINY), data, resume=False)
    assert {"dog", "cat", "cats"} <= set(captioner.vocabulary.tokens)
    assert "zebra" not in captioner.vocabulary.tokens
    assert Vocabulary.load(tmp_path / "run" / "vocabulary.json") == captioner.vocabulary
    with pytest.raises(UserError, match=r"No word occurs 50 times.*--min-count"):
        make_captioner(settings(min_count=50), make_run(tmp_path / "b", TINY), data, resume=False)


def test_words_of_an_attempt_that_saved_nothing_do_not_stay(tmp_path):
    new_captioner(tmp_path / "run")
    other = CaptionData("other", (Example("x", b"", ("zebras graze",), "train"),))
    run = make_run(tmp_path / "run", TINY)
    assert "zebras" in make_captioner(TINY, run, other, resume=False).vocabulary.tokens
    assert "zebras" in make_captioner(TINY, run, CaptionData("none", ()), resume=True).vocabulary.tokens


def finished(path, config=TINY):
    captioner = new_captioner(path, config)
    captioner.save_weights(path / "best.weights.h5")
    return captioner


def test_init_from_takes_words_and_weights(tmp_path):
    start = finished(tmp_path / "start")
    config = settings(init_from=str(tmp_path / "start"), seed=8, encoder_weights="imagenet")
    other = CaptionData("other", (Example("x", b"", ("zebras graze",), "train"),))
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
def test_init_from_a_model_of_other_sizes_says_what_to_ask_for(change, message, tmp_path):
    finished(tmp_path / "start")
    config = settings(init_from=str(tmp_path / "start"), **change)
    with pytest.raises(UserError, match=f"other sizes.*{message}\\."):
        make_captioner(config, make_run(tmp_path / "run", config), CaptionData("none", ()), resume=False)


def test_init_from_nothing_and_from_an_export_is_refused(tmp_path):
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


def test_batch_norms_learn_from_nothing_and_stay_when_they_were_trained(source_file, tmp_path):
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


def test_a_run_on_cached_features_leaves_the_encoder_alone_and_goes_on(source_file, tmp_path):
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
    begun = Encoder("small_cnn", weights=None, image_size=SIZE).backbone.get_weights()
    ended = load_model(parts.path).encoder.backbone.get_weights()
    for before, after in zip(begun, ended, strict=True):
        np.testing.assert_array_equal(before, after)


def stop_in_epoch_two(evaluate):
    def wrapped(self, epoch):
        if epoch == 2:
            raise KeyboardInterrupt
        return evaluate(self, epoch)

    return wrapped


def test_data_without_a_validation_split_are_refused(tmp_path):
    file = tmp_path / "captions.csv"
    Image.new("RGB", (5, 7)).save(tmp_path / "x.png")
    file.write_text("image,caption,split\nx.png,a dog,train\n")
    config = settings(data=str(file))
    with pytest.raises(UserError, match="has no validation split"):
        train_captioner(config, make_run(tmp_path / "run", config), load_examples(file))
