"""The ids of a part, in memory and in a file."""

import numpy as np
import pytest

from charlm.data import ids as ids_of_parts
from charlm.data.ids import encode_split
from charlm.data.load import load_text
from charlm.text.characters import CharacterVocabulary
from shared.system.files import FileError


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
    monkeypatch.setattr(ids_of_parts, "IN_MEMORY", 8)
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
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(28, "No space left on device"), FileError)],
)
def test_encode_split_leaves_no_half_file(tmp_path, mixed, monkeypatch, error, raised):
    monkeypatch.setattr(ids_of_parts, "IN_MEMORY", 8)
    (tmp_path / "other.txt").write_text("other")
    data, vocabulary = load_text([mixed, tmp_path / "other.txt"]), Interrupted("ab")
    vocabulary.calls, vocabulary.error = 0, error
    with pytest.raises(raised):
        encode_split(data, "all", vocabulary, tmp_path / "ids")
    assert vocabulary.calls == 2
    assert list((tmp_path / "ids").iterdir()) == []


def test_encode_split_where_no_folder_can_be(mixed, monkeypatch):
    monkeypatch.setattr(ids_of_parts, "IN_MEMORY", 8)
    with pytest.raises(FileError, match=r"could not write .*all\.uint16"):
        encode_split(load_text(mixed), "all", CharacterVocabulary("ab"), mixed / "below")
