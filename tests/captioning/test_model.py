"""The captioner as a whole: an ordinary Keras model that carries its vocabulary and finds its files again."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops

from captioning.config import CaptioningConfig
from captioning.encoder import Encoder
from captioning.model import Captioner
from shared.cli import UserError
from shared.runs import RunFolder
from shared.text import Vocabulary

WORDS = ("a", "red", "dog", "cat", "runs")
SIZE = 32


def make_captioner(decoder="late_attention", seed=3):
    keras.utils.set_random_seed(seed)
    vocabulary = Vocabulary.build([WORDS])
    encoder = Encoder("small_cnn", weights=None, image_size=SIZE)
    return Captioner(vocabulary, encoder, decoder=decoder, units=6, num_heads=2)


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture
def tokens():
    return np.array([[[1, 4, 5, 2, 0]], [[1, 6, 7, 8, 2]], [[1, 8, 2, 0, 0]]], dtype=np.int32)


def test_features_and_images_give_the_same_logits(images, tokens):
    captioner = make_captioner()
    from_images = captioner({"images": images, "tokens": tokens})
    features = captioner.encoder(images)
    np.testing.assert_allclose(captioner({"features": features, "tokens": tokens}), from_images, atol=1e-5)
    assert from_images.shape == (3, 1, 5, len(captioner.vocabulary))
    flat = captioner({"features": features, "tokens": tokens[:, 0]})
    np.testing.assert_allclose(flat, from_images[:, 0], atol=1e-5)


@pytest.mark.parametrize("decoder", ["late_attention", "soft_attention", "show_and_tell"])
def test_keras_file_round_trip(decoder, images, tokens, tmp_path):
    captioner = make_captioner(decoder)
    captioner.save(tmp_path / "captioner.keras")
    loaded = keras.models.load_model(tmp_path / "captioner.keras")
    assert loaded.vocabulary == captioner.vocabulary
    inputs = {"images": images, "tokens": tokens}
    np.testing.assert_allclose(loaded(inputs), captioner(inputs), atol=1e-6)


def test_compile_fit_evaluate_and_predict_work(images, tokens):
    captioner = make_captioner()
    captioner.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs, targets = {"images": images, "tokens": tokens[:, 0, :-1]}, tokens[:, 0, 1:]
    before = captioner.evaluate(inputs, targets, verbose=0)
    captioner.fit(inputs, targets, epochs=3, batch_size=3, verbose=0)
    assert captioner.evaluate(inputs, targets, verbose=0) < before
    assert captioner.predict(inputs, verbose=0).shape == (3, 4, len(captioner.vocabulary))


def test_captions_carry_the_log_probability_that_the_model_gives_them(images):
    captioner = make_captioner()
    for captions in captioner.caption(images, num_beams=3, n_best=2, max_length=6):
        assert len(captions) == 2
        assert captions[0].text == " ".join(captions[0].tokens)
        assert 0 < captions[0].confidence <= 1
    caption = captioner.caption(images, num_beams=3, max_length=6)[1][0]
    ids = [Vocabulary.START, *captioner.vocabulary.encode(caption.tokens)]
    ended = len(caption.tokens) < 6
    written = [*ids[1:], Vocabulary.END] if ended else ids[1:]
    logits = captioner({"images": images[1:2], "tokens": np.array([ids[: len(written)]])})[0]
    log_probs = ops.convert_to_numpy(ops.log_softmax(logits, axis=-1))
    expected = log_probs[np.arange(len(written)), written].sum()
    assert caption.log_prob == pytest.approx(expected, abs=1e-3)


def test_special_words_are_never_written_and_a_caption_has_a_word(images):
    captioner = make_captioner()
    for captions in captioner.caption(images, num_beams=3, n_best=3, max_length=5):
        for caption in captions:
            assert caption.tokens
            assert set(caption.tokens) <= set(WORDS)


def test_captions_of_features_are_those_of_images(images):
    captioner = make_captioner()
    features = ops.convert_to_numpy(captioner.encoder(images)).astype(np.float16)
    from_features = captioner.caption_features(features, max_length=5)
    assert [c[0].tokens for c in from_features] == [
        c[0].tokens for c in captioner.caption(images, max_length=5)
    ]


def write_run(path, captioner):
    config = CaptioningConfig(
        encoder="small_cnn", encoder_weights="none", image_size=SIZE, units=6, num_heads=2, mirror=False
    )
    run = RunFolder.create(path, dataclasses.asdict(config), "captioning")
    captioner.vocabulary.save(run.vocabulary_file)
    captioner.save_weights(run.best_weights)
    return run


def test_a_run_folder_gives_the_captioner_back(images, tokens, tmp_path):
    captioner = make_captioner()
    write_run(tmp_path / "run", captioner)
    loaded = Captioner.from_any(tmp_path / "run")
    inputs = {"images": images, "tokens": tokens}
    np.testing.assert_allclose(loaded(inputs), captioner(inputs), atol=1e-6)


def test_a_run_without_checkpoint_is_refused(tmp_path):
    run = write_run(tmp_path / "run", make_captioner())
    run.best_weights.unlink()
    with pytest.raises(UserError, match="no checkpoint"):
        Captioner.from_any(run.path)


def test_a_vocabulary_that_does_not_fit_the_weights_is_refused(tmp_path):
    run = write_run(tmp_path / "run", make_captioner())
    Vocabulary.build([(*WORDS, "one", "more")]).save(run.vocabulary_file)
    with pytest.raises(UserError, match="does not fit"):
        Captioner.from_any(run.path)


def test_settings_of_another_version_are_refused(tmp_path):
    run = write_run(tmp_path / "run", make_captioner())
    record = json.loads((run.path / "config.json").read_text())
    record["config"]["wings"] = 2
    (run.path / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="wings"):
        Captioner.from_any(run.path)


def test_an_unknown_name_lists_the_presets(tmp_path):
    with pytest.raises(UserError, match=r"no model 'flickr9k'.*preset"):
        Captioner.from_any("flickr9k")
    with pytest.raises(UserError, match=r"config\.json"):
        Captioner.from_any(tmp_path)


def test_weights_of_another_encoder_cannot_slip_in(tmp_path):
    with pytest.raises(ValueError, match="Unknown decoder"):
        make_captioner(decoder="late_atention")
