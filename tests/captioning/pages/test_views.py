import keras
import numpy as np
import pytest

from captioning.data.images import resize
from captioning.model.captioner import Captioner
from captioning.model.encoder import Encoder
from captioning.model.ensemble import Ensemble
from captioning.pages.views import view
from shared.text.vocabulary import Vocabulary

WORDS = ("a", "red", "dog", "cat", "runs")
SEARCH = {"num_beams": 3, "n_best": 2, "max_length": 6, "open_endings": True}


def make_captioner(decoder, seed=3):
    keras.utils.set_random_seed(seed)
    encoder = Encoder("small_cnn", weights=None, image_size=32)
    return Captioner(Vocabulary.build([WORDS]), encoder, decoder=decoder, units=6, num_heads=2)


@pytest.fixture
def pixels():
    return np.random.default_rng(4).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("decoder", ["late_attention", "soft_attention", "show_and_tell"])
def test_captions_are_those_of_predict(decoder, pixels):
    captioner = make_captioner(decoder)
    seen = view(captioner, "name", pixels, **SEARCH)
    expected = captioner.caption(pixels, **SEARCH)
    assert [caption.text for caption in seen.captions] == [caption.text for caption in expected]
    for one, other in zip(seen.captions, expected, strict=True):
        assert one.log_prob == pytest.approx(other.log_prob, abs=1e-4)
    assert (seen.attention is None) == (decoder == "show_and_tell")


@pytest.mark.parametrize("decoder", ["late_attention", "soft_attention"])
def test_attention_is_what_each_step_computes(decoder, pixels, monkeypatch):
    captioner = make_captioner(decoder)
    seen = view(captioner, "name", pixels, **SEARCH)
    features = captioner.encoder(resize(pixels, captioner.image_size)[None])
    memory = captioner.decoder.read(features)
    attention, weights = captioner.decoder.attention.call, []

    def recorded(*arguments, **options):
        result = attention(*arguments, **options)
        weights.append(np.asarray(result[1])[0, 0])
        return result

    monkeypatch.setattr(captioner.decoder.attention, "call", recorded)
    for caption, attended in zip(seen.captions, seen.attention, strict=True):
        weights.clear()
        states = captioner.decoder.start(memory)
        for token in [Vocabulary.START, *captioner.vocabulary.encode(caption.tokens)]:
            _, states = captioner.decoder.step(np.array([token]), states, memory)
        np.testing.assert_allclose(attended, weights[: len(attended)], atol=1e-5)
        np.testing.assert_allclose(attended.sum(axis=-1), 1, atol=1e-5)


def test_an_ensemble_has_a_tree_but_no_attention(pixels):
    ensemble = Ensemble([make_captioner("late_attention"), make_captioner("soft_attention", seed=4)])
    seen = view(ensemble, "name", pixels, **SEARCH)
    assert seen.attention is None
    assert seen.captions[0].text == ensemble.caption(pixels, **SEARCH)[0].text
    assert seen.tree[0].parent == -1
