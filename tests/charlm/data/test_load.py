"""Sources of text and how they are cut into parts."""

import io
import os
from pathlib import Path

import pytest

from charlm.data.ids import encode_split
from charlm.data.load import load_text
from charlm.text.characters import CharacterVocabulary
from shared.data.source import DataError


def test_one_file(mixed, mixed_text):
    data = load_text(mixed, validation_fraction=0.2, test_fraction=0.3)
    assert len(mixed_text) == 15
    assert data.splits == ("train", "validation", "test")
    assert [data.text(split) for split in data.splits] == [mixed_text[:7], mixed_text[7:10], mixed_text[10:]]
    assert [data.characters(split) for split in (*data.splits, "all")] == [7, 3, 5, 15]
    assert data.text("all") == mixed_text
    assert data.name == str(mixed)
    assert data.rule == "first 50 % train, next 20 % validation, last 30 % test of 15 characters"
    assert load_text(str(mixed)).splits == ("train", "validation")


@pytest.mark.parametrize(
    ("characters", "validation", "test", "sizes"),
    [
        (1_115_394, 0.1, 0.0, [1_003_854, 111_540]),
        (10, 0.7, 0.2, [1, 7, 2]),
        (10, 0.8, 0.1, [1, 8, 1]),
        (1000, 0.3, 0.3, [400, 300, 300]),
        (7, 0.0, 0.0, [7]),
        (7, 0.0, 0.5, [3, 4]),
        (2, 0.1, 0.0, [1, 1]),
        (1, 0.0, 0.0, [1]),
    ],
)
def test_sizes_of_the_parts(tmp_path, characters, validation, test, sizes):
    path = tmp_path / "x.txt"
    path.write_text("x" * characters)
    data = load_text(path, validation_fraction=validation, test_fraction=test)
    assert [data.characters(split) for split in data.splits] == sizes
    assert ("validation" in data.splits, "test" in data.splits) == (validation > 0, test > 0)
    assert data.rule.endswith(f"of {characters:,} characters")


@pytest.mark.parametrize("fractions", [(-0.1, 0.0), (0.0, -0.1), (1.0, 0.0), (0.5, 0.5), (float("nan"), 0.0)])
def test_fractions_out_of_range(mixed, fractions):
    with pytest.raises(DataError, match=r"leave no text for training\. Expected numbers of at least 0"):
        load_text(mixed, validation_fraction=fractions[0], test_fraction=fractions[1])


def test_parts_that_would_be_empty(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("x")
    with pytest.raises(DataError, match=r"has too few characters, 1, for a part train of 0\.9 of them"):
        load_text(path)
    path.write_text("xxx")
    with pytest.raises(DataError, match=r"too few characters, 3, for a part validation of 0\.1"):
        load_text(path, validation_fraction=0.1, test_fraction=0.1)


def test_several_sources_are_joined_as_they_are(tmp_path, mixed, mixed_text):
    for name, text in {"b.txt": "\ufeffbb\r\n", "empty.txt": "", "c.md": "ccccc"}.items():
        (tmp_path / name).write_bytes(text.encode())
    names = [tmp_path / "c.md", str(tmp_path / "b.txt"), tmp_path / "empty.txt", mixed, "-"]
    data = load_text(names, validation_fraction=0.5, stdin=io.BytesIO("\u00e4h".encode()))
    text = "cccccbb\r\n" + mixed_text + "\u00e4h"
    assert data.text("all") == text
    assert [data.text(split) for split in data.splits] == [text[:13], text[13:]]
    assert data.name == ", ".join(map(str, names))
    for size in (1, 3, 7):
        assert all(len(piece) <= size for piece in data.chunks("all", size))
        assert "".join(data.chunks("validation", size)) == text[13:]


def test_folder(tmp_path):
    for name in ("b.txt", "a/z.txt", "a/y/x.txt", "c.md", "a.txt", "a-b/w.txt"):
        file = tmp_path / "books" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"<{name}>")
    assert load_text(tmp_path / "books").text("all") == "<a/y/x.txt><a/z.txt><a-b/w.txt><a.txt><b.txt>"
    assert load_text(tmp_path / "books", pattern="*.md").text("all") == "<c.md>"
    assert load_text(tmp_path / "books", pattern="a/*.txt").text("all") == "<a/z.txt>"
    with pytest.raises(DataError, match=r"books holds no file that matches '\*\.rst'.*--pattern"):
        load_text(tmp_path / "books", pattern="*.rst")
    with pytest.raises(DataError, match=r"The pattern '' matches nothing"):
        load_text(tmp_path / "books", pattern="")


def test_standard_input_and_pipes(mixed_text):
    data = load_text("-", stdin=io.BytesIO(mixed_text.encode()))
    assert data.text("all") == mixed_text
    reader, writer = os.pipe()
    os.write(writer, mixed_text.encode())
    os.close(writer)
    try:
        assert load_text(f"/dev/fd/{reader}").text("train") == mixed_text[:13]
    finally:
        os.close(reader)


def test_hello():
    data = load_text("hello")
    assert data.splits == ("train", "validation")
    assert {data.text(split) for split in (*data.splits, "all")} == {"hello"}
    assert data.rule == "train and validation are the same 5 characters"


@pytest.mark.parametrize("name", ["hello", "shakespeare", "-", "tfds:x"])
def test_a_path_wins_over_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("from a file")
    assert load_text(name).text("all") == "from a file"


def test_unknown_split(mixed):
    data = load_text(mixed)
    for ask in (data.characters, data.text, lambda split: list(data.chunks(split))):
        with pytest.raises(
            DataError, match=r"has no split 'test'\. Expected one of train, validation, or all"
        ):
            ask("test")


@pytest.mark.parametrize(
    "name", ["absent.txt", "absent/x.txt", "", "tfds", "Hello", "~nobody-of-this-name/x"]
)
def test_unknown_source(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"Unknown data source .*no such file.*tfds:NAME, shakespeare, or hello"
    ):
        load_text(name)


@pytest.mark.parametrize(
    ("name", "similar"), [("shakespear", "shakespeare"), ("Shakespeare", "shakespeare"), ("helo", "hello")]
)
def test_a_mistyped_name(name, similar):
    with pytest.raises(DataError, match=rf"Did you mean '{similar}'\?"):
        load_text(name)


def test_a_url_is_named_as_such():
    with pytest.raises(DataError, match=r"^https://example\.org/a\.txt is a URL; download the file"):
        load_text("https://example.org/a.txt")


def test_sources_that_cannot_be_used(mixed):
    with pytest.raises(DataError, match=r"hello has splits of its own: it cannot be joined"):
        load_text([mixed, "hello"])
    with pytest.raises(DataError, match=r"The list of sources is empty"):
        load_text([])
    with pytest.raises(DataError, match=r"- is empty"):
        load_text("-", stdin=io.BytesIO(b""))


def test_folder_that_may_not_be_read(mixed, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"The folder .* cannot be read: Permission denied"):
        load_text(mixed.parent)


def test_tiny_shakespeare():
    default = Path(__file__).parents[4] / "shared" / "data" / "text" / "tiny_shakespeare.txt"
    file = Path(os.environ.get("UNROLLED_TINY_SHAKESPEARE") or default)
    if not file.is_file():
        pytest.skip("tiny_shakespeare.txt is not here; name the file in UNROLLED_TINY_SHAKESPEARE")
    data, text = load_text(file), file.read_text(encoding="utf-8")
    assert (data.characters("train"), data.characters("validation")) == (1_003_854, 111_540)
    assert data.text("validation") == text[1_003_854:]
    vocabulary = CharacterVocabulary.build(data.chunks("train"))
    assert len(vocabulary) == 256 + 65
    assert vocabulary.decode(encode_split(data, "train", vocabulary)) == text[:1_003_854]
