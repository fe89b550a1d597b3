"""The captioner as a whole: an ordinary Keras model with its vocabulary, saved to and loaded from files."""

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from captioning import load_model
from captioning.app import APP
from captioning.config import CALIBRATION_FILE, NETWORK, CaptioningConfig, Search
from captioning.data.images import ImageError
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


@pytest.fixture(scope="module")
def captioner():
    """For tests that change nothing of it."""
    return make_captioner()


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture
def tokens():
    return np.array([[[1, 4, 5, 2, 0]], [[1, 6, 7, 8, 2]], [[1, 8, 2, 0, 0]]], dtype=np.int32)


def test_features_and_images_give_the_same_logits(captioner, images, tokens):
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


def test_captions_carry_the_log_probability_that_the_model_gives_them(captioner, images):
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


def test_special_words_are_never_written_and_a_caption_has_a_word(captioner, images):
    for captions in captioner.caption(images, num_beams=3, n_best=3, max_length=5):
        for caption in captions:
            assert caption.tokens
            assert set(caption.tokens) <= set(WORDS)


def test_captions_of_features_are_those_of_images(captioner, images):
    features = ops.convert_to_numpy(captioner.encoder(images)).astype(np.float16)
    from_features = captioner.caption_features(features, max_length=5)
    assert [c[0].tokens for c in from_features] == [
        c[0].tokens for c in captioner.caption(images, max_length=5)
    ]


def test_images_of_every_kind_get_the_same_captions(captioner, tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (50, 41, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = captioner.caption(pixels, max_length=5)
    assert [type(caption.text) for caption in expected] == [str]
    for image in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels), ops.array(pixels)):
        assert captioner.caption(image, max_length=5) == expected
    others = captioner.caption([tmp_path / "a.png", pixels[:, ::-1]], max_length=5)
    assert others == captioner.caption(np.stack([pixels, pixels[:, ::-1]]), max_length=5)
    assert others[0][0].tokens == expected[0].tokens
    many = captioner.caption([pixels] * 17, max_length=5)  # more than a batch
    assert [len(captions) for captions in many] == [1] * 17
    assert captioner.caption([]) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((5, 4, 3)), r"expected uint8 in \[0, 255\]\. Convert"),
        (np.zeros((2, 5, 4, 3), np.float32), "An image of dtype float32: expected uint8"),
        (np.zeros((1, 2, 5, 4, 3), np.uint8), r"has shape \(height, width\) or"),
        ("https://example.org/dog.jpg", "is a URL; download it first and give the file's path"),
        (Path("absent.jpg"), "absent.jpg: no such file"),
    ],
)
def test_what_is_no_image_is_explained(image, message, captioner):
    with pytest.raises(ImageError, match=message):
        captioner.caption(image)


def test_settings_are_those_of_the_network_and_the_search():
    captioner = make_captioner("show_and_tell")
    assert tuple(captioner.settings) == NETWORK
    assert (captioner.settings["decoder"], captioner.settings["units"]) == ("show_and_tell", 6)
    assert captioner.search_defaults == Search()


def write_run(path, captioner):
    config = CaptioningConfig(
        encoder="small_cnn", encoder_weights="none", image_size=SIZE, units=6, num_heads=2, mirror=False
    )
    run = RunFolder.create(path, dataclasses.asdict(config), "captioning")
    captioner.vocabulary.save(run.vocabulary_file)
    run.save_best_weights(captioner)
    return run


def test_a_run_folder_gives_the_captioner_back(captioner, images, tokens, tmp_path):
    write_run(tmp_path / "run", captioner)
    loaded = load_model(tmp_path / "run")
    inputs = {"images": images, "tokens": tokens}
    np.testing.assert_allclose(loaded(inputs), captioner(inputs), atol=1e-6)


def test_a_calibration_in_the_run_folder_counts(captioner, images, tmp_path):
    run = write_run(tmp_path / "run", captioner)
    (run.path / CALIBRATION_FILE).write_text('{"slope": 2.0, "intercept": 1.5, "images": 700}')
    loaded = load_model(tmp_path / "run")
    expected = captioner.caption(images, no_repeat_ngram=3)
    for raw, calibrated in zip(expected, loaded.caption(images), strict=True):
        logit = 2.0 * np.log(raw[0].confidence) + 1.5
        assert calibrated[0].text == raw[0].text
        assert calibrated[0].confidence == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    for damaged in (
        "",
        "[]",
        '{"slope": 1}',
        '{"slope": -1, "intercept": 0}',
        '{"slope": "x", "intercept": 0}',
    ):
        (run.path / CALIBRATION_FILE).write_text(damaged)
        with pytest.raises(UserError, match=r"calibration\.json is damaged"):
            load_model(tmp_path / "run")


def test_a_run_without_checkpoint_is_refused(captioner, tmp_path):
    run = write_run(tmp_path / "run", captioner)
    run.best_weights.unlink()
    with pytest.raises(UserError, match="no checkpoint"):
        load_model(run.path)


def test_a_vocabulary_that_does_not_fit_the_weights_is_refused(captioner, tmp_path):
    run = write_run(tmp_path / "run", captioner)
    Vocabulary.build([(*WORDS, "one", "more")]).save(run.vocabulary_file)
    with pytest.raises(UserError, match="does not fit the 11 tokens"):
        load_model(run.path)


def test_settings_of_another_version_are_refused(captioner, tmp_path):
    run = write_run(tmp_path / "run", captioner)
    record = json.loads((run.path / "config.json").read_text())
    record["config"]["wings"] = 2
    (run.path / "config.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="wings"):
        load_model(run.path)


def test_an_unknown_name_lists_the_presets(tmp_path):
    with pytest.raises(UserError, match=r"no model 'flickr9k'.*preset"):
        load_model("flickr9k")
    with pytest.raises(UserError, match=r"config\.json"):
        load_model(tmp_path)


def test_an_unknown_decoder_is_refused():
    with pytest.raises(ValueError, match="Unknown decoder"):
        make_captioner(decoder="late_atention")


def test_a_folder_of_data_does_not_hide_the_preset_of_its_name(captioner, tmp_path, monkeypatch):
    write_run(tmp_path / "presets" / "flickr9k", captioner)
    monkeypatch.setattr(type(APP), "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flickr9k").mkdir()
    assert isinstance(load_model("flickr9k"), Captioner)
    (tmp_path / "flickr9k" / "config.json").write_text("{}")  # a run, if a damaged one
    with pytest.raises(UserError, match="does not describe a run"):
        load_model("flickr9k")


def test_a_caption_has_room_for_a_word_and_an_end(captioner, images):
    with pytest.raises(UserError, match="max_length is at least 2, not 1"):
        captioner.caption(images, max_length=1)


def test_constraints_are_words(captioner, images):
    options = {"max_length": 6, "num_beams": 3}
    for captions in captioner.caption(images, must=["Dog"], never=["red", "zebra"], prefix="A", **options):
        assert captions[0].tokens[0] == "a"
        assert "dog" in captions[0].tokens
        assert "red" not in captions[0].tokens
    assert captioner.caption(images, must="dog", **options) == captioner.caption(
        images, must=("dog",), **options
    )


def test_no_caption_ends_on_an_article_unless_it_may(captioner, images):
    options = {"max_length": 3, "num_beams": 3, "n_best": 3, "diversity": 0.0}
    endings = {
        caption.tokens[-1] for captions in captioner.caption(images, **options) for caption in captions
    }
    assert "a" not in endings
    open_endings = captioner.caption(images, must="a", never=WORDS[1:], open_endings=True, **options)
    assert {captions[0].tokens[-1] for captions in open_endings} == {"a"}


def test_diverse_captions_are_distinct_and_the_best_is_no_worse(captioner, images):
    options = {"max_length": 6, "num_beams": 3, "n_best": 3}
    plain = captioner.caption(images, diversity=0.0, **options)
    for near, diverse in zip(plain, captioner.caption(images, diversity=1.0, **options), strict=True):
        assert len({caption.text for caption in diverse}) == 3
        best, other = (
            caption.log_prob / min(len(caption.tokens) + 1, 6) ** 0.8 for caption in (near[0], diverse[0])
        )
        assert other >= best - 1e-5  # the first group is the plain search


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"must": ["dogg"]}, r"does not know the word 'dogg' of must; .* 9 words\. Did you mean dog\?"),
        ({"prefix": "a xylophone"}, r"does not know the word 'xylophone' of prefix"),
        ({"must": ["dog"], "never": ["dog"]}, "'dog' is a word of must and of never"),
        ({"prefix": "a red dog", "max_length": 2}, "prefix and must have 3 words; a caption has at most 2"),
    ],
)
def test_constraints_that_cannot_be_met_are_explained(options, message, captioner, images):
    with pytest.raises(UserError, match=message):
        captioner.caption(images, **options)


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
    assert captioner.encoder.backbone.layers[1].compute_dtype == "float32"
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
