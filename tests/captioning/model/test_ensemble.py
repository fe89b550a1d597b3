"""Several captioners that write together, against mean probabilities by hand."""

import itertools
import json

import keras
import numpy as np
import pytest
from PIL import Image

from captioning import predict
from captioning.model.captioner import Captioner
from captioning.model.encoder import Encoder
from captioning.model.ensemble import Ensemble, mean_log_probs
from captioning.prediction.export import export_captioner
from shared.export import open_export
from shared.runs.folder import RunFolder
from shared.system.cli import UserError, run_script
from shared.text.vocabulary import Vocabulary

WORDS = ("a", "red", "dog", "cat")
NETWORK = {"encoder": "small_cnn", "encoder_weights": "none", "image_size": 32, "units": 6, "num_heads": 2}
SEARCH = {"num_beams": 64, "length_penalty": 0.0, "max_length": 3, "no_repeat_ngram": 0, "open_endings": True}


def make_captioner(seed, image_size=32, decoder="late_attention", words=WORDS):
    keras.utils.set_random_seed(seed)
    encoder = Encoder("small_cnn", weights=None, image_size=image_size)
    return Captioner(Vocabulary.build([words]), encoder, decoder=decoder, units=6, num_heads=2)


@pytest.fixture(scope="module")
def members():
    return [make_captioner(1), make_captioner(2, decoder="soft_attention")]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def log_prob_of(members, image, tokens):
    """The mean probability of each token in turn, multiplied, from the members' own forward passes."""
    row = [Vocabulary.START, *tokens, Vocabulary.END]
    inputs = {"images": image[None], "tokens": np.array([row[:-1]])}
    mean = np.mean([keras.ops.softmax(member(inputs)[0]) for member in members], axis=0)
    return float(np.sum(np.log([mean[step, token] for step, token in enumerate(row[1:])])))


def test_best_caption_is_that_of_the_mean_probabilities(members, images):
    vocabulary = members[0].vocabulary
    words = vocabulary.encode(WORDS)
    captions = [tokens for length in (1, 2) for tokens in itertools.product(words, repeat=length)]
    for image, (caption,) in zip(images, Ensemble(members).caption_pixels(images, **SEARCH), strict=True):
        scores = {tokens: log_prob_of(members, image, tokens) for tokens in captions}
        assert caption.log_prob == pytest.approx(
            log_prob_of(members, image, vocabulary.encode(caption.tokens)), abs=1e-4
        )
        assert caption.log_prob >= max(scores.values()) - 1e-4


def test_twins_write_what_one_writes(members, images):
    one = members[0].caption_pixels(images, n_best=2, num_beams=3)
    twins = Ensemble([members[0], members[0]]).caption_pixels(images, n_best=2, num_beams=3)
    for single, double in zip(one, twins, strict=True):
        assert [caption.text for caption in single] == [caption.text for caption in double]
        assert [c.log_prob for c in single] == pytest.approx([c.log_prob for c in double], abs=1e-4)


def test_order_of_members_does_not_matter(members, images):
    texts = [
        [captions[0].text for captions in Ensemble(order).caption_pixels(images)]
        for order in (members, members[::-1])
    ]
    assert texts[0] == texts[1]


def test_a_smaller_member_resizes(members, images):
    ensemble = Ensemble([make_captioner(3, image_size=16), members[0]])
    assert ensemble.image_size == 32
    assert all(captions[0].text for captions in ensemble.caption(list(images)))


def test_other_words_are_refused(members):
    with pytest.raises(UserError, match="Model 2 of the ensemble has other words: a vocabulary of 7"):
        Ensemble([members[0], make_captioner(1, words=("a", "bird", "sings"))])


def test_the_script_takes_several_models(members, images, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, member in zip(("one", "two"), members, strict=True):
        settings = {**NETWORK, "decoder": member.settings["decoder"]}
        run = RunFolder.create(name, settings, "captioning")
        member.vocabulary.save(run.vocabulary_file)
        run.save_best_weights(member)
    Image.fromarray(images[0]).save("picture.png")
    assert (
        run_script(predict.main, ["picture.png", "--model", "one", "--model", "two", "--format", "jsonl"])
        == 0
    )
    expected = Ensemble(members).caption(images[0])[0]
    record = json.loads(capsys.readouterr().out)
    assert record["caption"] == expected.text
    assert record["log_prob"] == pytest.approx(expected.log_prob, abs=1e-3)


def test_exported_ensemble_writes_the_same(members, images, tmp_path):
    search = {"num_beams": 2, "n_best": 1, "max_length": 5}
    export_captioner(Ensemble(members), tmp_path / "model", search)  # checks captions and log-probabilities
    assert open_export(tmp_path / "model", "captioner.json", ("pixels",)).settings["image_size"] == 32


def test_mean_of_probabilities():
    logits = np.random.default_rng(1).normal(size=(3, 2, 5))
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(mean_log_probs(list(logits)), np.log(probabilities.mean(0)), atol=1e-6)
