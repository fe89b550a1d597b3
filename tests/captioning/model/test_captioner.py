"""The captioner as a whole: an ordinary Keras model that carries its vocabulary and finds its files again."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import ops

from captioning.config import CaptioningConfig
from captioning.model.captioner import Captioner
from captioning.model.encoder import Encoder
from captioning.training.run import CaptionLoss
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary
from shared.training.step import TrainStep

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
    with pytest.raises(UserError, match="does not fit the 11 tokens"):
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


def test_an_unknown_decoder_is_refused():
    with pytest.raises(ValueError, match="Unknown decoder"):
        make_captioner(decoder="late_atention")


def test_a_folder_of_data_does_not_hide_the_preset_of_its_name(tmp_path, monkeypatch):
    write_run(tmp_path / "presets" / "flickr9k", make_captioner())
    monkeypatch.setattr("captioning.model.captioner.PRESETS", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flickr9k").mkdir()
    assert isinstance(Captioner.from_any("flickr9k"), Captioner)
    (tmp_path / "flickr9k" / "config.json").write_text("{}")  # a run, if a damaged one
    with pytest.raises(UserError, match="does not describe a run"):
        Captioner.from_any("flickr9k")


def test_a_caption_has_room_for_a_word_and_an_end(images):
    with pytest.raises(UserError, match="max_length is at least 2, not 1"):
        make_captioner().caption(images, max_length=1)


@pytest.mark.parametrize("train_encoder", [True, False])
def test_the_keras_file_says_whether_and_how_the_encoder_is_trained(train_encoder, tmp_path):
    config = CaptioningConfig(
        encoder="small_cnn", image_size=SIZE, units=6, num_heads=2, train_encoder=train_encoder
    )
    captioner = Captioner.from_settings(config, Vocabulary.build([WORDS]))
    captioner.save(tmp_path / "captioner.keras")
    loaded = keras.models.load_model(tmp_path / "captioner.keras")
    for model in (captioner, loaded):
        assert model.encoder.trainable == train_encoder
        assert model.encoder.fixed_norms  # as the weights are those of ImageNet
        assert bool(model.encoder.trainable_variables) == train_encoder
    assert len(loaded.trainable_variables) == len(captioner.trainable_variables)


@pytest.mark.parametrize("train_encoder", [True, False])
def test_bfloat16_trains_and_captions_with_finite_numbers(train_encoder, images, tokens, tmp_path):
    config = CaptioningConfig(
        encoder="small_cnn",
        encoder_weights="none",
        image_size=SIZE,
        units=6,
        num_heads=2,
        train_encoder=train_encoder,
        mixed_bfloat16=True,
    )
    captioner = Captioner.from_settings(config, Vocabulary.build([WORDS]))
    assert captioner.decoder.compute_dtype == "bfloat16"
    assert captioner.encoder.backbone.layers[1].compute_dtype == ("bfloat16" if train_encoder else "float32")
    assert {variable.dtype for variable in captioner.trainable_variables} == {"float32"}
    step = TrainStep(captioner, keras.optimizers.AdamW(1e-3), CaptionLoss(0.1), clip_norm=1.0, average=0.9)
    before = captioner.get_weights()
    loss, norm = step({"images": images, "tokens": tokens})
    assert np.isfinite([loss, norm]).all()
    assert norm > 0
    assert any((old != new).any() for old, new in zip(before, captioner.get_weights(), strict=True))
    for captions in captioner.caption(images, num_beams=3, n_best=2, max_length=5):
        assert all(np.isfinite(caption.log_prob) and caption.tokens for caption in captions)
    captioner.save(tmp_path / "captioner.keras")
    loaded = keras.models.load_model(tmp_path / "captioner.keras")
    assert loaded.decoder.compute_dtype == "bfloat16"
    np.testing.assert_allclose(
        loaded({"images": images, "tokens": tokens}), captioner({"images": images, "tokens": tokens})
    )
