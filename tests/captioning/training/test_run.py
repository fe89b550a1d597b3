"""One training run: the loss, the optimizer, where the weights start, and whole runs."""

import keras
import numpy as np
import pytest
from PIL import Image

from captioning import load_model
from captioning.data.examples import CaptionData, Example
from captioning.data.load import load_examples
from captioning.model.encoder import Encoder
from captioning.training.run import (
    CaptionLoss,
    make_captioner,
    train_captioner,
)
from captioning.training.validation import Validation
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary
from shared.training.losses import sequence_cross_entropy
from shared.training.optimizers import make_adamw

PAD, START, END = Vocabulary.PAD, Vocabulary.START, Vocabulary.END


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
    captioner.save_weights(tmp_path / "start" / "best.weights.h5")
    return captioner


def test_init_from_takes_words_and_weights(start, tmp_path, settings, make_run):
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
def test_init_from_a_model_of_other_sizes_says_what_to_ask_for(
    change, message, start, tmp_path, settings, make_run
):
    config = settings(init_from=str(tmp_path / "start"), **change)
    with pytest.raises(UserError, match=f"other sizes.*{message}\\."):
        make_captioner(config, make_run(tmp_path / "run", config), CaptionData("none", ()), resume=False)


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
