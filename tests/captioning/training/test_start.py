"""Where a run begins: languages and their tokenizers, words that a model lacks, and what suits few images."""

import argparse
import csv
import dataclasses
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from captioning import load_model, train
from captioning.config import FEW_IMAGES, CaptioningConfig, suited
from captioning.data.examples import CaptionData, Example
from captioning.model.captioner import Captioner
from captioning.model.captions import Caption
from captioning.model.signatures import _write
from captioning.training.start import copy_weights, default_start, extend_vocabulary, settle_for
from captioning.training.validation import Validation
from shared.runs.folder import RunFolder
from shared.system.cli import NothingLearned, UserError, run_script
from shared.text.tokens import tokenize_exact
from shared.text.vocabulary import Vocabulary

COLOURS = ((220, 30, 30), (30, 160, 40), (40, 60, 220), (230, 210, 40), (20, 20, 20))
PLACES = ((8, 8), (36, 8), (8, 36), (36, 36))
# Of each language the names of the colours and places, and the sentence about both.
LANGUAGES = {
    "spanish": (
        ("rojo", "verde", "azul", "amarillo", "negro"),
        ("arriba a la izquierda", "arriba a la derecha", "abajo a la izquierda", "allí, ¿abajo?"),
        "El círculo {} está {}.",
    ),
    "chinese": (
        ("红色", "绿色", "蓝色", "黄色", "黑色"),
        ("左上角", "右上角", "左下角", "右下角"),
        "{}的圆在{}。",
    ),
    "arabic": (
        ("حمراءُ", "خضراءُ", "زرقاءُ", "صفراءُ", "سوداءُ"),
        ("أعلى اليسار", "أعلى اليمين", "أسفل اليسار", "أسفل اليمين"),
        "دائرةٌ {} في {}.",
    ),
}
TINY = """
    --init-from none --encoder small_cnn --encoder-weights none --image-size 32 --train-encoder
    --encoder-rate 1 --encoder-from-epoch 1 --units 64 --num-heads 2 --captions-per-image 1 --dropout 0
    --input-dropout 0 --label-smoothing 0 --no-mirror --crop 1 --brightness 0 --learning-rate 3e-3
    --batch-size 20 --repeats 80 --epochs 1 --validation-beams 1
"""


def write_pictures(folder, language):
    """Forty pictures with a caption each: every colour at every place, twice."""
    colours, places, sentence = LANGUAGES[language]
    rows = []
    for number in range(40):
        colour, place = number % 5, number // 5 % 4
        image = Image.new("RGB", (64, 64), "white")
        left, top = PLACES[place]
        box = (left, top, left + 20, top + 20)
        ImageDraw.Draw(image).ellipse(box, fill=COLOURS[colour])
        image.save(folder / f"{number}.png")
        split = "train" if number < 35 else "validation"
        rows.append((f"{number}.png", sentence.format(colours[colour], places[place]), split))
    with (folder / "mine.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "caption", "split"), *rows])
    return rows


@pytest.mark.parametrize("language", LANGUAGES)
def test_forty_captions_come_back_exactly(language, tmp_path):
    rows = write_pictures(tmp_path, language)
    run = tmp_path / "run"
    assert train.main(["--data", str(tmp_path / "mine.csv"), "--out", str(run), *TINY.split()]) == 0
    assert CaptioningConfig.from_run(RunFolder.open(run, "captioning")).tokenizer == "exact"
    captions = load_model(run).caption([tmp_path / name for name, _, _ in rows])
    assert [best.text for best, *_ in captions] == [caption for _, caption, _ in rows]


def test_an_exported_model_joins_tokens_as_python_does():
    texts = ["El niño, ¿qué?", "红色的圆 LED灯。", "a dog runs"]
    tokens = [tokenize_exact(text) for text in texts]
    vocabulary = Vocabulary.build(tokens)
    ids = [[*vocabulary.encode(row), vocabulary.END] for row in tokens]
    padded = np.array([row + [vocabulary.PAD] * (12 - len(row)) for row in ids])[None]
    joined = _write(tf.gather(tf.constant(vocabulary.tokens), padded), padded, vocabulary)
    assert [text.decode() for text in joined.numpy()[0]] == texts


# The vocabulary and the weights


def data_of(*captions):
    return CaptionData(
        "mine", tuple(Example(str(i), b"", (each,), "train") for i, each in enumerate(captions))
    )


def test_new_words_follow_those_of_the_model(settings, capsys):
    known = Vocabulary.build([["a", "cafe", "dog", "red"]])
    config = settings(init_from="start", tokenizer="exact")
    grown = extend_vocabulary(config, data_of("a red café", "a xylophone"), known)
    assert grown.tokens == (*known.tokens, "café", "xylophone")
    told = "Starts from start, which knows 2 of 4 words or characters in the data. 2 are new, 1 of them like"
    assert told in capsys.readouterr().out
    assert extend_vocabulary(dataclasses.replace(config, self_critical=1), data_of("zebra"), known) == known
    assert extend_vocabulary(dataclasses.replace(config, teachers=("t",)), data_of("zebra"), known) == known
    with pytest.raises(
        UserError, match="10 words or characters that start lacks, and start knows 8: its voca"
    ):
        extend_vocabulary(config, data_of("b c d e f g h i j k"), known)


def test_weights_of_known_words_stay(captioner, settings, make_run, tmp_path):
    vocabulary = Vocabulary([*captioner.vocabulary.tokens, "Dog", "zebra"])
    grown = Captioner.from_settings(settings(), vocabulary)
    copy_weights(captioner, grown, seed=1)
    count = len(captioner.vocabulary)
    features = np.random.default_rng(1).normal(size=(2, 16, captioner.encoder.channels)).astype(np.float32)
    tokens = np.array([[[1, 4, 5]], [[1, 6, 4]]])
    now, then = (np.asarray(each({"features": features, "tokens": tokens})) for each in (grown, captioner))
    np.testing.assert_allclose(now[..., :count], then, atol=1e-6)
    rows = np.asarray(grown.decoder.embedding.embeddings)
    spread, dog = rows[:count].std(0), captioner.vocabulary.encode(["dog"])[0]
    assert np.abs(rows[count] - rows[dog]).max() < 0.5 * spread.max()
    assert np.abs(rows[count + 1] - rows[4:count].mean(0)).max() < 0.5 * spread.max()


# What suits the data


def test_settings_follow_the_number_of_images():
    many = suited(6000, "words", 30)
    assert (many["batch_size"], many["epochs"], many["repeats"], many["min_count"]) == (20, 8, 1, 4)
    for images in (1, 2, 20, 50, 200, FEW_IMAGES - 1):
        few = suited(images, "words", 30, "photos")
        steps = few["epochs"] * (few["repeats"] * images // few["batch_size"])
        assert few["batch_size"] <= max(images / 8, 1)
        assert 100 <= steps <= 1200
        assert few["warmup_steps"] < 0.2 * steps


@pytest.mark.parametrize(
    ("images", "options", "start"),
    [
        (50, {}, "photos"),
        (50, {"units": 512}, "photos"),
        (FEW_IMAGES, {}, ""),
        (50, {"units": 64}, ""),
        (50, {"encoder_weights": "mine.npz"}, ""),
    ],
)
def test_few_images_start_from_the_preset(images, options, start):
    arguments = argparse.Namespace(**options)
    assert default_start(images, [["a", "zyzzyva"]] * 9, CaptioningConfig(**options), arguments) == start


def test_given_epochs_are_passes(tmp_path):
    config = CaptioningConfig(init_from="", epochs=3)
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "captioning")
    settled = settle_for(data_of(*["a dog"] * 20), config, run, argparse.Namespace())
    assert (settled.epochs, settled.repeats) == (3, 1)


def test_a_preset_that_knows_too_few_words_is_no_start():
    tokens = [[f"word{number}" for number in range(20_000)]]
    assert default_start(50, tokens, CaptioningConfig(), argparse.Namespace()) == ""


def test_the_network_is_that_of_the_model(tmp_path):
    start = CaptioningConfig(units=24, cell="gru", init_from="")
    RunFolder.create(tmp_path / "start", dataclasses.asdict(start), "captioning")
    config = CaptioningConfig(init_from=str(tmp_path / "start"))
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "captioning")
    settled = settle_for(data_of("a dog"), config, run, argparse.Namespace())
    assert (settled.units, settled.cell, settled.tokenizer, settled.min_count) == (24, "gru", "words", 1)
    assert CaptioningConfig.from_run(RunFolder.open(run.path, "captioning")) == settled
    other = dataclasses.replace(config, units=512)
    with pytest.raises(UserError, match=r"does not go with --init-from .*, whose network has 24"):
        settle_for(data_of("a dog"), other, run, argparse.Namespace(units=512))


# What bad data get


@pytest.mark.parametrize(
    ("written", "is_learned"),
    [(["1"] * 5, False), (["1", "1", "1", "1", "2"], True), (["1", "2", "1", "1", "1"], True)],
)
def test_one_caption_for_all_images_is_reported(
    written, is_learned, examples_of, settings, make_run, tmp_path
):
    """Training images count too: two validation images may well look alike."""

    def images(split, words):
        results = [[Caption(word, (word,), -1.0, 0.5)] for word in words]
        return SimpleNamespace(
            examples=examples_of(len(words), split=split),
            caption=lambda rows, **_: [results[row] for row in rows],
        )

    config = settings()
    validation = Validation(images("validation", written[:2]), make_run(tmp_path / "run", config), config)
    validation(1)
    check = partial(validation.check_learned, images("train", written[2:]), best_epoch=1)
    if is_learned:
        check()
    else:
        with pytest.raises(
            NothingLearned, match=r"all images get the same caption, '1'\. The run is saved in"
        ):
            check()


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (["0.png,A dog,train"], [], "has no validation split"),
        (["0.png,,train", "1.png, ,validation"], [], "no "),
        (["0.png,!?,train", "1.png,a dog,validation"], [], "No word occurs 1 times"),
        (["0.png,a dog,train"], ["--init-from", "shakespeare"], "no model 'shakespeare'"),
        (["0.png,a dog,train"], ["--init-from", "charlm/presets/shakespeare"], "holds a run of 'charlm'"),
    ],
)
def test_data_that_teach_nothing_are_refused(rows, options, message, tmp_path, capsys):
    for number in range(2):
        Image.new("RGB", (9, 9)).save(tmp_path / f"{number}.png")
    (tmp_path / "mine.csv").write_text("\n".join(["image,caption,split", *rows]) + "\n")
    run = tmp_path / "run"
    command = ["--data", str(tmp_path / "mine.csv"), "--out", str(run), *(options or TINY.split())]
    assert run_script(train.main, command) == 2
    assert message in capsys.readouterr().err
    assert not run.exists()
