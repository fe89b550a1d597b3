"""Tables, texts, vocabularies and settings from strangers: at worst, the answer is one sentence."""

import csv
import importlib
import io
import json
import random
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioning.config import CaptioningConfig
from captioning.data.load import load_examples
from captioning.data.report import describe, examine
from charlm.config import CharLMConfig
from charlm.data.load import load_text
from charlm.data.report import describe as describe_text
from charlm.text.characters import CharacterVocabulary
from sentiment.config import SentimentConfig
from sentiment.data.labels import load_labels
from sentiment.data.load import load_reviews
from sentiment.data.report import describe as describe_reviews
from sentiment.data.report import examine as examine_reviews
from sentiment.prediction.inputs import open_texts
from shared.runs.folder import RunFolder
from shared.system.cli import UserError, run_script
from shared.text.vocabulary import Vocabulary

NASTY = (
    '"',
    '""',
    "\0",
    "\r",
    "\n",
    "\t",
    ",",
    "'",
    "\ufeff",
    "\ud800",
    "\u2028",
    "\x1b[2J",
    "x" * 5_000,
    "../",
)
VALUES = (None, True, -1, 10**30, 1e999, [], {}, [[]], "", "é", {"a": [1]}, "\ud83d")
DEEP = "[" * 10_000 + "]" * 10_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two images' names; the images are not opened."""
    folder = tmp_path_factory.mktemp("strangers")
    for name in ("a.jpg", "b.jpg"):
        (folder / name).touch()
    return folder


def answer(function):
    """What a function returns, or None for an error of the user, which is one sentence."""
    try:
        return function()
    except UserError as error:
        message = str(error)
    assert message
    assert len(message) < 25_000  # it may quote some of what is wrong
    return None


def damaged(file, source):
    """The bytes of a file with some changed, cut out, doubled or cut off."""
    file = bytearray(file)
    for _ in range(source.randint(1, 6)):
        at = source.randrange(len(file) + 1)
        kind = source.randrange(6)
        if kind == 0:
            file[at : at + 1] = source.randbytes(1)
        elif kind == 1:
            del file[at : at + source.choice((1, 2, 30))]
        elif kind == 2:
            file[at:at] = file[at : at + 40]
        elif kind == 3:
            del file[at:]
        else:
            file[at:at] = source.choice(NASTY).encode("utf-8", "surrogatepass")
    return bytes(file)


def changed(document, source):
    """A JSON document with some of its values replaced by others, its keys too."""
    if source.random() < 0.05:
        return source.choice(VALUES)
    if isinstance(document, dict):
        pairs = ((key, changed(value, source)) for key, value in document.items())
        return {key if source.random() < 0.97 else "other": value for key, value in pairs}
    if isinstance(document, list):
        return [changed(value, source) for value in document]
    return source.choice(NASTY) if source.random() < 0.05 else document


def mutated_json(document, source):
    if source.random() < 0.02:
        return DEEP.encode()
    text = json.dumps(changed(document, source), ensure_ascii=source.random() < 0.5)
    file = text.encode("utf-8", "surrogatepass")
    return damaged(file, source) if source.random() < 0.5 else file


def table(rows, kind):
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), delimiter="\t" if kind == "tsv" else ",")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


CAPTIONS = [
    {"image": "a.jpg", "caption": "a dog, running", "split": "train"},
    {"image": "b.jpg", "caption": 'a "cat"', "split": "validation"},
    {"image": "a.jpg", "caption": "two\nlines", "split": "train"},
]
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "annotations": [{"image_id": 1, "caption": "a dog"}, {"image_id": 2, "caption": "a cat"}],
}
KARPATHY = {
    "images": [
        {"filename": name, "filepath": ".", "split": "train", "cocoid": 7, "sentences": [{"raw": "a dog"}]}
        for name in ("a.jpg", "b.jpg")
    ]
}
REVIEWS = [
    {"text": "good, really", "label": "pos", "split": "train"},
    {"text": 'a "bad" film', "label": "neg", "split": "train"},
    {"text": "so\nso", "label": "neg", "split": "test"},
    {"text": "fine", "label": "pos", "split": "test"},
]
seeds = st.integers(0, 2**63).map(random.Random)


@given(seeds, st.sampled_from(["csv", "tsv", "jsonl", "txt"]))
def test_captions_in_tables(folder, source, kind):
    file = folder / f"captions.{kind}"
    file.write_bytes(damaged(table(CAPTIONS, kind), source))
    data = answer(lambda: load_examples(file, folder))
    if data is not None:
        describe(examine(data, check_images=False))
        assert all(
            isinstance(caption, str) and caption.strip() for e in data.examples for caption in e.captions
        )


@given(seeds, st.sampled_from([COCO, KARPATHY]))
def test_captions_in_json(folder, source, document):
    file = folder / "captions_val.json"
    file.write_bytes(mutated_json(document, source))
    data = answer(lambda: load_examples(file, folder))
    if data is not None:
        describe(examine(data, check_images=False))


@pytest.mark.parametrize("key", ["filename", "raw", "cocoid", "split"])
def test_half_a_character_in_json_is_a_bad_row(folder, key):
    good, bad = json.loads(json.dumps(KARPATHY["images"]))
    (bad["sentences"][0] if key == "raw" else bad)[key] = "a \ud800"
    (folder / "dataset.json").write_text(json.dumps({"images": [good, bad]}))
    data = load_examples(folder / "dataset.json", folder)
    assert [example.image.name for example in data.examples] == ["a.jpg"]
    assert [problem.message for problem in data.problems] == ["not UTF-8"]
    describe(examine(data, check_images=False)).encode()


@given(seeds)
def test_captions_of_flickr8k(folder, source):
    below = folder / "flickr8k"
    below.mkdir(exist_ok=True)
    captions = damaged(b"a.jpg#0\ta dog\na.jpg#1\ta dog runs\nb.jpg#0\ta cat\n", source)
    (below / "Flickr8k.token.txt").write_bytes(captions)
    (below / "Flickr_8k.trainImages.txt").write_bytes(damaged(b"a.jpg\nb.jpg\n", source))
    answer(lambda: load_examples(below, folder))


@given(seeds, st.sampled_from(["csv", "tsv", "jsonl"]))
def test_reviews_in_tables(folder, source, kind):
    file = folder / f"reviews.{kind}"
    file.write_bytes(damaged(table(REVIEWS, kind), source))
    data = answer(lambda: load_reviews([file], validation_fraction=0.5))
    if data is not None:
        describe_reviews(examine_reviews(data, min_count=1, max_vocabulary=99))


@given(seeds, st.sampled_from(["csv", "tsv", "jsonl", "txt", "txt.gz"]))
def test_texts_to_classify(folder, source, kind):
    file = folder / f"texts.{kind}"
    file.write_bytes(damaged(table(REVIEWS, kind), source))

    def read():
        with open_texts(str(file), "text") as items:
            return list(items)

    for item in answer(read) or ():
        assert (item.text is None) != (item.error is None)


@given(seeds)
def test_texts_to_learn_from(folder, source):
    file = folder / "play.txt"
    file.write_bytes(damaged("To be, or not to be — that is the question.\n".encode() * 9, source))
    data = answer(lambda: load_text([str(file)], validation_fraction=0.2))
    if data is not None:
        describe_text(data)


@given(seeds)
def test_vocabularies(folder, source):
    file = folder / "vocabulary.json"
    Vocabulary.build([["a", "dog"], ["a", "cat"]]).save(file)
    file.write_bytes(mutated_json(json.loads(file.read_text()), source))
    answer(lambda: Vocabulary.load(file))
    answer(lambda: CharacterVocabulary.load(file))


@given(seeds)
def test_labels(folder, source):
    run = RunFolder(folder, {})
    (folder / "labels.json").write_bytes(mutated_json(["negative", "positive"], source))
    labels = answer(lambda: load_labels(run))
    assert labels is None or len(set(labels)) == len(labels) > 1


@given(seeds, st.sampled_from([CaptioningConfig, CharLMConfig, SentimentConfig]))
def test_settings_of_a_run(folder, source, config_class):
    app = config_class.__module__.partition(".")[0]
    path = folder / app
    if not path.exists():
        RunFolder.create(path, asdict(config_class()), app)
    good = path / "good.json"
    if not good.exists():
        good.write_bytes((path / "config.json").read_bytes())
    (path / "config.json").write_bytes(mutated_json(json.loads(good.read_text()), source))

    def read():
        return config_class.from_run(RunFolder.open(path, app))

    config = answer(read)
    if config is not None:
        assert asdict(config).keys() == asdict(config_class()).keys()


def test_nothing_but_nesting(folder):
    for name in ("captions_val.json", "vocabulary.json", "labels.json", "captions.jsonl", "texts.jsonl"):
        (folder / name).write_text(DEEP)
    (folder / "config.json").write_text(DEEP)
    calls = [
        lambda: load_examples(folder / "captions_val.json"),
        lambda: load_examples(folder / "captions.jsonl"),
        lambda: load_reviews([folder / "texts.jsonl"]),
        lambda: Vocabulary.load(folder / "vocabulary.json"),
        lambda: CharacterVocabulary.load(folder / "vocabulary.json"),
        lambda: load_labels(RunFolder(folder, {})),
        lambda: RunFolder.open(folder, "captioning"),
    ]
    for call in calls:
        with pytest.raises(UserError):
            call()


@pytest.mark.parametrize("name", ["x" * 5_000, "x" * 5_000 + ".csv", "a\0b.csv", "/" + "x/" * 3_000])
def test_names_that_no_system_takes(name):
    calls = [
        lambda: load_examples(name),
        lambda: load_examples(__file__, images=name),
        lambda: load_reviews([name]),
        lambda: load_text([name]),
        lambda: list(open_texts(name, "text").__enter__()),
        lambda: Vocabulary.load(name),
    ]
    for call in calls:
        with pytest.raises(UserError):
            call()


@pytest.mark.parametrize("script", ["captioning.data", "charlm.data", "sentiment.data", "captioning.predict"])
@pytest.mark.parametrize("name", ["x" * 5_000, "~nobody-of-this-name/x", "\x1b[2J\n.csv"])
def test_names_on_a_command_line(script, name, capsys):
    main = importlib.import_module(script if script.endswith("predict") else f"{script}.__main__").main
    assert run_script(main, [name]) in (1, 2)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert len((shown.err or shown.out).splitlines()) == 1


def test_the_folder_of_a_model_with_a_name_that_no_system_takes(capsys):
    main = importlib.import_module("charlm.generate").main
    assert run_script(main, ["--model", "x" * 5_000]) == 2
    assert "is too long for the name of a file" in capsys.readouterr().err
