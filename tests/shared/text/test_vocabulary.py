import json
import subprocess
import sys

import numpy as np
import pytest

from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary, VocabularyError, load_tokens, save_tokens, tokenize_words

SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A dog runs .", ["a", "dog", "runs"]),
        (
            "Two girls' hats, one T-shirt - and 3.5 dogs!",
            ["two", "girls", "hats", "one", "t-shirt", "and", "3", "5", "dogs"],
        ),
        ("it's rock'n'roll", ["it's", "rock'n'roll"]),
        ("it\u2019s a well\u2010known caf\u00e9", ["it's", "a", "well-known", "caf\u00e9"]),
        ("cafe\u0301", ["caf\u00e9"]),
        ("snake_case", ["snake", "case"]),
        ("\u00c4RGER \u041a\u043e\u0442 \u72ac", ["\u00e4rger", "\u043a\u043e\u0442", "\u72ac"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u2764\ufe0f", ["\u0939\u093f\u0928\u094d\u0926\u0940"]),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"],
        ),
        ("'quoted' -dash- --", ["quoted", "dash"]),
        (" \t\n", []),
        ("", []),
    ],
)
def test_tokenize_words(text, words):
    assert tokenize_words(text) == words


def test_build_orders_by_count_then_alphabet():
    texts = [["b", "a", "c"], ["b", "a", "d"], ["b"], ["zebra", "zebra", "zebra", "zebra"]]
    assert Vocabulary.build(texts).tokens == (*SPECIALS, "zebra", "b", "a", "c", "d")
    assert Vocabulary.build(texts, min_count=2).tokens == (*SPECIALS, "zebra", "b", "a")
    assert Vocabulary.build(texts, max_size=6).tokens == (*SPECIALS, "zebra", "b")
    assert Vocabulary.build(reversed(texts)) == Vocabulary.build(texts)


def test_build_does_not_count_specials():
    assert Vocabulary.build([["<unk>", "<end>", "a"]]).tokens == (*SPECIALS, "a")


@pytest.mark.parametrize("arguments", [{"min_count": 0}, {"max_size": 3}])
def test_build_refuses_senseless_limits(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Vocabulary.build([["a"]], **arguments)


def test_encode_and_decode():
    vocabulary = Vocabulary([*SPECIALS, "a", "dog", "runs"])
    assert len(vocabulary) == 7
    assert vocabulary.encode(["dog", "cat", "a"]) == [5, 3, 4]
    assert vocabulary.decode(np.array([1, 4, 3, 0, 5, 2, 6, 0])) == ["a", "<unk>", "dog"]
    assert vocabulary.decode([]) == []
    assert "dog" in vocabulary
    assert "cat" not in vocabulary


@pytest.mark.parametrize("index", [-1, 7])
def test_decode_refuses_foreign_ids(index):
    with pytest.raises(ValueError, match="outside this vocabulary of 7 tokens"):
        Vocabulary([*SPECIALS, "a", "dog", "runs"]).decode([4, index])


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["a"], "starts with"),
        ([], "starts with"),
        ([*SPECIALS, "a", "b", "a"], r"more often: \['a'\]"),
        ([*SPECIALS, 5], "strings only"),
    ],
)
def test_constructor_refuses(tokens, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(tokens)


def test_immutable():
    vocabulary = Vocabulary(SPECIALS)
    with pytest.raises(AttributeError):
        vocabulary.tokens = ()
    with pytest.raises(AttributeError):
        vocabulary.other = 1


def test_save_and_load(tmp_path):
    vocabulary = Vocabulary([*SPECIALS, "a", "caf\u00e9", '"', "\u72ac", "\U0001f415", "\u2028"])
    path = tmp_path / "vocabulary.json"
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    assert hash(Vocabulary.load(str(path))) == hash(vocabulary)
    assert "caf\u00e9" in path.read_text(encoding="utf-8")


def test_edited_file_is_refused(tmp_path):
    path = tmp_path / "vocabulary.json"
    Vocabulary([*SPECIALS, "dog", "cat"]).save(path)
    path.write_text(path.read_text().replace("dog", "fox"))
    with pytest.raises(VocabularyError, match="checksum does not match its 6 tokens"):
        Vocabulary.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "not a vocabulary"),
        ({"version": 9}, "format version 9"),
        ({"tokens": "abc"}, "list of strings"),
        ({"tokens": [1, 2]}, "list of strings"),
    ],
)
def test_foreign_json_is_refused(tmp_path, change, message):
    path = tmp_path / "vocabulary.json"
    Vocabulary(SPECIALS).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.load(path)


def test_tokens_of_any_kind_are_kept(tmp_path):
    path = tmp_path / "vocabulary.json"
    tokens = ("\n", "\r", "\0", '"', "\u2028", "\u0301", "\U0001f415", "", "a", "a")
    save_tokens(path, tokens)
    assert load_tokens(path) == list(tokens)
    with pytest.raises(VocabularyError, match=r"vocabulary\.json is not a usable vocabulary: .*starts with"):
        Vocabulary.load(path)
    words = Vocabulary([*SPECIALS, "dog"])
    words.save(path)
    assert load_tokens(path) == list(words.tokens)


def test_tokens_whose_order_was_changed_are_refused(tmp_path):
    path = tmp_path / "vocabulary.json"
    save_tokens(path, ["a", "b", "c"])
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | {"tokens": ["b", "a", "c"]}))
    with pytest.raises(VocabularyError, match="checksum does not match its 3 tokens"):
        load_tokens(path)


@pytest.mark.parametrize("content", [b"", b"not json", b"[1, 2]", b"\xff\xfe\x00"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"vocabulary\.json"):
        Vocabulary.load(path)


def test_absent_and_unwritable(tmp_path):
    with pytest.raises(UserError, match="Cannot read the vocabulary"):
        Vocabulary.load(tmp_path / "absent.json")
    with pytest.raises(UserError, match="could not write"):
        Vocabulary(SPECIALS).save(tmp_path / "absent" / "vocabulary.json")


def test_import_is_light():
    heavy = {"keras", "tensorflow", "numpy"}
    code = f"import sys, shared.text.vocabulary; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
