import io
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import charlm.data.splits
from charlm.data import documents as sources
from charlm.data.documents import DataError, Document
from charlm.data.report import count_characters, describe, longest_line
from charlm.data.report import main as report
from charlm.data.splits import encode_split, load_text
from charlm.text.characters import CharacterVocabulary
from shared.runs.folder import RunError
from shared.system.cli import UserError, run_script

# Characters of one to four bytes, and both kinds of line ends.
MIXED = "a\u00e9\u72ac\U0001f415\r\nb\u0301\u20ac\n\U00010348zz\u00df\ufeff"


@pytest.fixture
def mixed(tmp_path):
    path = tmp_path / "mixed.txt"
    path.write_bytes(MIXED.encode())
    return path


@pytest.mark.parametrize("block", [1, 2, 3, 5, 7, 1000])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_any_stretch_of_a_document(tmp_path, monkeypatch, block, bom, in_memory):
    monkeypatch.setattr(sources, "BLOCK", block)
    (tmp_path / "file").write_bytes(bom + MIXED.encode())
    content = (bom + MIXED.encode()) if in_memory else tmp_path / "file"
    document = Document("d", content)
    assert document.characters == len(MIXED)
    assert document.bytes == len(MIXED.encode())
    for start in range(len(MIXED) + 1):
        for stop in range(start, len(MIXED) + 1):
            pieces = list(document.chunks(start, stop, size=1 + (start + stop) % 4))
            assert "".join(pieces) == MIXED[start:stop]
            assert all(0 < len(piece) <= 1 + (start + stop) % 4 for piece in pieces)


def test_one_file(mixed):
    data = load_text(mixed, validation_fraction=0.2, test_fraction=0.3)
    assert len(MIXED) == 15
    assert data.splits == ("train", "validation", "test")
    assert [data.text(split) for split in data.splits] == [MIXED[:7], MIXED[7:10], MIXED[10:]]
    assert [data.characters(split) for split in (*data.splits, "all")] == [7, 3, 5, 15]
    assert data.text("all") == MIXED
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


def test_several_sources_are_joined_as_they_are(tmp_path, mixed):
    for name, text in {"b.txt": "\ufeffbb\r\n", "empty.txt": "", "c.md": "ccccc"}.items():
        (tmp_path / name).write_bytes(text.encode())
    names = [tmp_path / "c.md", str(tmp_path / "b.txt"), tmp_path / "empty.txt", mixed, "-"]
    data = load_text(names, validation_fraction=0.5, stdin=io.BytesIO("\u00e4h".encode()))
    text = "cccccbb\r\n" + MIXED + "\u00e4h"
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


def test_standard_input_and_pipes():
    data = load_text("-", stdin=io.BytesIO(MIXED.encode()))
    assert data.text("all") == MIXED
    reader, writer = os.pipe()
    os.write(writer, MIXED.encode())
    os.close(writer)
    try:
        assert load_text(f"/dev/fd/{reader}").text("train") == MIXED[:13]
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
    ("content", "message"),
    [
        (b"", r"x\.txt is empty\. Expected a text of at least one character"),
        (b"\xef\xbb\xbf", r"x\.txt is empty"),
        (b"text\0text", r"x\.txt looks binary: it has NUL bytes"),
        ("text".encode("utf-16"), r"looks binary.*iconv -f UTF-16"),
        (b"ab\nc\xff", r"x\.txt is not UTF-8: at byte 4 .*, in line 2, stands 0xff \(invalid start byte\)"),
        (
            b"\xef\xbb\xbfab\n\n\xe9t\xe9",
            r"at byte 7 .*, in line 3, stands 0xe9 \(invalid continuation byte\)",
        ),
        (b"abcde\n\xc3", r"at byte 6 .*, in line 2, stands 0xc3 \(unexpected end of data\)"),
        (b"\xed\xa0\x80", r"at byte 0 .*, in line 1, stands 0xed"),
    ],
)
@pytest.mark.parametrize("block", [5, 1000])
def test_bad_content(tmp_path, monkeypatch, content, message, block):
    monkeypatch.setattr(sources, "BLOCK", block)
    path = tmp_path / "x.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_text(path)


def test_a_bad_file_among_good_ones_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("fine")
    (tmp_path / "b.txt").write_bytes(b"not \xff fine")
    with pytest.raises(DataError, match=r"b\.txt is not UTF-8: at byte 4 "):
        load_text(tmp_path)


def test_bad_bytes_far_inside(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 7)
    path = tmp_path / "x.txt"
    for place in range(60):
        content = bytearray(("\u00e9\n" * 20).encode())
        content[place] = 0xFF
        path.write_bytes(content)
        with pytest.raises(UnicodeDecodeError) as expected:
            content.decode()
        start = expected.value.start
        line = 1 + content[:start].count(b"\n")
        with pytest.raises(DataError, match=rf"at byte {start} \(counted from 0\), in line {line}, "):
            load_text(path)


@pytest.mark.parametrize(
    "name", ["absent.txt", "absent/x.txt", "", "tfds", "Hello", "~nobody-of-this-name/x"]
)
def test_unknown_source(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        DataError, match=r"Unknown source of text .*there is no such file.*shakespeare, tfds:NAME"
    ):
        load_text(name)


def test_sources_that_cannot_be_used(mixed):
    with pytest.raises(DataError, match=r"hello has splits of its own: it cannot be joined"):
        load_text([mixed, "hello"])
    with pytest.raises(DataError, match=r"The list of sources is empty"):
        load_text([])
    with pytest.raises(DataError, match=r"- is empty"):
        load_text("-", stdin=io.BytesIO(b""))


def test_file_that_may_not_be_read(mixed, monkeypatch):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"mixed\.txt cannot be read: Permission denied"):
        load_text(mixed)


def test_folder_that_may_not_be_read(mixed, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"The folder .* cannot be read: Permission denied"):
        load_text(mixed.parent)


@pytest.mark.parametrize("content", [b"", MIXED.encode()[:-1], b"z" * 40, b"\xff" * 40, None])
def test_file_that_changes_after_it_was_counted(mixed, monkeypatch, content):
    monkeypatch.setattr(sources, "BLOCK", 7)
    data = load_text(mixed, validation_fraction=0.4)
    if content is None:
        mixed.unlink()
    else:
        mixed.write_bytes(content)
    with pytest.raises(DataError, match=r"mixed\.txt (was changed while it was read|cannot be read)"):
        data.text("validation")


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 2**14)
    path = tmp_path / "large.txt"
    path.write_text("\u00e9t\u00e9\n" * 400_000)
    tracemalloc.start()
    try:
        data = load_text(path)
        counted = sum(map(len, data.chunks("validation", size=2**14)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert counted == data.characters("validation") == 160_000
    assert peak < path.stat().st_size / 5


def test_encode_split_in_memory(mixed):
    data, vocabulary = load_text(mixed, validation_fraction=0.4), CharacterVocabulary("zab\n\u72ac")
    for split in ("train", "validation", "all"):
        ids = encode_split(data, split, vocabulary)
        assert not isinstance(ids, np.memmap)
        assert ids.dtype == np.uint16
        assert ids.tolist() == vocabulary.encode(data.text(split)).tolist()


@pytest.mark.parametrize(("size", "dtype"), [(65_280, np.uint16), (65_281, np.int32)])
def test_encode_split_takes_the_small_integers_that_fit(tmp_path, size, dtype):
    characters = [chr(code) for code in range(0x10000, 0x10000 + size)]
    path = tmp_path / "x.txt"
    path.write_text(characters[0] + characters[-1] + "a")
    ids = encode_split(load_text(path), "all", CharacterVocabulary(characters))
    assert ids.dtype == dtype
    assert ids.tolist() == [256, 255 + size, ord("a")]


@pytest.mark.parametrize("folder", ["ids/below", None])
def test_encode_split_in_a_file(tmp_path, mixed, monkeypatch, folder):
    monkeypatch.setattr(charlm.data.splits, "IN_MEMORY", 8)
    data, vocabulary = load_text(mixed, validation_fraction=0.4), CharacterVocabulary("zab")
    where = None if folder is None else tmp_path / folder
    ids = encode_split(data, "train", vocabulary, where)
    assert isinstance(ids, np.memmap)
    assert not ids.flags.writeable
    assert ids.tolist() == vocabulary.encode(data.text("train")).tolist()
    assert not isinstance(encode_split(data, "validation", vocabulary, where), np.memmap)
    if folder:
        assert [file.name for file in where.iterdir()] == ["train.uint16"]
        again = encode_split(data, "all", vocabulary, where)
        assert again[: len(ids)].tolist() == ids.tolist()


class Interrupted(CharacterVocabulary):
    """A vocabulary that is stopped, or finds the disk full, at the second piece of a text."""

    __slots__ = ("calls", "error")

    def encode(self, text):
        self.calls += 1
        if self.calls == 2:
            raise self.error
        return super().encode(text)


@pytest.mark.parametrize(
    ("error", "raised"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left on device"), RunError)],
)
def test_encode_split_leaves_no_half_file(tmp_path, mixed, monkeypatch, error, raised):
    monkeypatch.setattr(charlm.data.splits, "IN_MEMORY", 8)
    (tmp_path / "other.txt").write_text("other")
    data, vocabulary = load_text([mixed, tmp_path / "other.txt"]), Interrupted("ab")
    vocabulary.calls, vocabulary.error = 0, error
    with pytest.raises(raised):
        encode_split(data, "all", vocabulary, tmp_path / "ids")
    assert vocabulary.calls == 2
    assert list((tmp_path / "ids").iterdir()) == []


def test_encode_split_where_no_folder_can_be(mixed, monkeypatch):
    monkeypatch.setattr(charlm.data.splits, "IN_MEMORY", 8)
    with pytest.raises(RunError, match=r"could not write .*all\.uint16"):
        encode_split(load_text(mixed), "all", CharacterVocabulary("ab"), mixed / "below")


def mocked(splits, folder, monkeypatch):
    """A folder in which the dataset imdb_reviews says which splits it has."""
    info = folder / "imdb_reviews" / "plain_text" / "1.0.0"
    info.mkdir(parents=True)
    parts = [{"name": name, "shardLengths": ["3"]} for name in splits]
    document = {"name": "imdb_reviews", "version": "1.0.0", "configName": "plain_text", "splits": parts}
    (info / "dataset_info.json").write_text(json.dumps(document))
    monkeypatch.setenv("TFDS_DATA_DIR", str(folder))


def dataset(builder, split, **_):
    import tensorflow as tf

    texts = [f"{split} {number} \u00e9" for number in range(3)]
    return tf.data.Dataset.from_tensor_slices({"text": texts})


def test_tfds_with_its_own_splits():
    import tensorflow_datasets as tfds

    with tfds.testing.mock_data(as_dataset_fn=dataset):
        data = load_text("tfds:tiny_shakespeare", validation_fraction=0.4)
    assert data.splits == ("train", "validation", "test")
    for split in data.splits:
        assert data.text(split) == f"{split} 0 \u00e9\n{split} 1 \u00e9\n{split} 2 \u00e9"
    assert data.text("all") == "".join(map(data.text, data.splits))
    assert data.rule == "splits of tfds:tiny_shakespeare: train 29, validation 44, test 26 characters"


@pytest.mark.parametrize(
    ("splits", "expected", "rule"),
    [
        (
            ["test", "train", "unsupervised"],
            {"train": (0, 17), "validation": (17, 29), "test": (29, 55)},
            "last 40",
        ),
        (["train"], {"train": (0, 11), "validation": (11, 23), "test": (23, 29)}, "last 20"),
        (
            ["test", "dev", "train"],
            {"train": (0, 29), "validation": (29, 52), "test": (52, 78)},
            "validation 23",
        ),
    ],
)
def test_tfds_splits(tmp_path, monkeypatch, splits, expected, rule):
    import tensorflow_datasets as tfds

    mocked(splits, tmp_path, monkeypatch)
    with tfds.testing.mock_data(as_dataset_fn=dataset, data_dir=str(tmp_path)):
        data = load_text("tfds:imdb_reviews", validation_fraction=0.4, test_fraction=0.2)
    assert dict(data.ranges) == expected
    assert data.text("all").startswith("train 0 \u00e9\ntrain 1")
    assert rule in data.rule
    assert "unsupervised" not in data.text("all")


def test_tfds_without_train(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    mocked(["test"], tmp_path, monkeypatch)
    with (
        tfds.testing.mock_data(as_dataset_fn=dataset, data_dir=str(tmp_path)),
        pytest.raises(DataError, match="tfds:imdb_reviews has no split train"),
    ):
        load_text("tfds:imdb_reviews")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tfds:", "wants a name"),
        ("tfds:no_such_thing", "tfds:no_such_thing: tensorflow-datasets has no such dataset"),
        ("tfds:mnist", r"tfds:mnist is not a dataset of texts.*it has image, label"),
    ],
)
def test_tfds_unusable_names(name, message):
    with pytest.raises(DataError, match=message):
        load_text(name)


def test_tfds_preparation_that_fails(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "a file"))
    with pytest.raises(DataError, match=r"cannot be prepared in .*a file.*TFDS_DATA_DIR"):
        load_text("tfds:tiny_shakespeare")


def test_count_characters_and_longest_line():
    pieces = ["ab\nabc", "d\u00e9", "", "\n\nxyz", "zz\n"]
    text = "".join(pieces)
    assert dict(count_characters(pieces)) == {character: text.count(character) for character in text}
    assert longest_line(pieces) == (6 - 1, 2)  # abcd\u00e9 comes before xyzzz
    assert longest_line(["\n\n"]) == (0, 1)


def test_report(tmp_path):
    (tmp_path / "x.txt").write_text("aaaa\nbbb" * 9 + "\u0301\u72ac")
    text = describe(load_text(tmp_path / "x.txt", validation_fraction=0.05, test_fraction=0.1))
    for line in (
        f"            74             77  {tmp_path / 'x.txt'}",
        "split: first 85 % train, next 5 % validation, last 10 % test of 74 characters",
        "            62  train",
        "             4  validation",
        "distinct characters: 5",
        "  most frequent: 'a' 36, 'b' 27, '\\n' 9, U+0301 COMBINING ACUTE ACCENT 1, '\u72ac' 1",
        "  in validation, not in train: none",
        "  in test, not in train: U+0301 COMBINING ACUTE ACCENT 1, '\u72ac' 1",
        "longest line: 7 characters, line 2",
    ):
        assert line in text.splitlines()


def test_report_of_many_files(tmp_path):
    for number in range(13):
        (tmp_path / f"{number:02}.txt").write_text(chr(ord("a") + number) * 7)
    lines = describe(load_text(tmp_path)).splitlines()
    assert "                               and 3 more" in lines
    assert "            91             91  together" in lines
    assert "  in validation, not in train: 'm' 7" in lines


def test_report_script(mixed, capsys):
    assert (
        run_script(report, [str(mixed), str(mixed), "--validation-fraction", "0", "--test-fraction", "0.5"])
        == 0
    )
    assert "first 50 % train, last 50 % test of 30 characters" in capsys.readouterr().out
    assert run_script(report, [str(mixed), "--test-fraction", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: The fractions 0.1 for validation and 1 for test")


def test_report_script_is_light_and_clean(mixed):
    command = [sys.executable, "-X", "importtime", "-m", "charlm.data", str(mixed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert done.returncode == 0
    assert "13  train" in done.stdout
    assert "RuntimeWarning" not in done.stderr
    assert " tensorflow" not in done.stderr
    assert " keras" not in done.stderr


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
