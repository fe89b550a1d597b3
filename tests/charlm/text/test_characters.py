import json

import numpy as np
import pytest

from charlm.text.characters import CharacterVocabulary, TextStream
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary, VocabularyError, load_tokens, save_tokens

TEXTS = [
    "",
    "hello",
    "line\r\nbreaks\rof\nall\u2028kinds\x85",
    "\0 and \x7f\x80\xff",
    "e\u0301 is not \u00e9, and \ufeff is kept",
    "\u043a\u043e\u0442 \u72ac \u0939\u093f\u0928\u094d\u0926\u0940",
    "\U0001f415\u200d\U0001f9ba \u2764\ufe0f \U0010ffff",
    "<0x41> <pad>",
]


def spelled(text, characters):
    """The ids of a text by the definition, one character at a time."""
    ids = []
    for character in text:
        known = character in characters
        ids += [256 + characters.index(character)] if known else list(character.encode("utf-8"))
    return ids


@pytest.mark.parametrize(
    "characters", ["", "helo", "\n\r\0\u00e9\u0301\U0001f415 <", "\U0010ffff\x7f\u0800a"]
)
@pytest.mark.parametrize("text", TEXTS)
def test_every_text_has_ids_and_comes_back(text, characters):
    vocabulary = CharacterVocabulary(characters)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert ids.tolist() == spelled(text, characters)
    assert vocabulary.decode(ids) == text
    assert vocabulary.decode(ids.tolist()) == text
    assert vocabulary.to_bytes(ids) == text.encode()


def test_characters_of_all_planes_come_back():
    text = "".join(chr(code) for code in range(0, 0x110000, 7) if not 0xD800 <= code <= 0xDFFF)
    vocabulary = CharacterVocabulary(text[::2])
    ids = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert len(ids) == len(text[::2]) + len(text[1::2].encode())


def test_tokens_are_bytes_then_characters():
    vocabulary = CharacterVocabulary("h\u00e9\U0001f415")
    assert len(vocabulary) == 259
    tokens = vocabulary.token_bytes()
    assert tokens[:256] == [bytes([value]) for value in range(256)]
    assert tokens[256:] == [b"h", b"\xc3\xa9", b"\xf0\x9f\x90\x95"]
    tokens.clear()
    assert len(vocabulary.token_bytes()) == 259
    assert "\u00e9" in vocabulary
    assert "e" not in vocabulary


def test_build_keeps_the_order_of_first_appearance():
    assert CharacterVocabulary.build(["zebra", "", "cab"]).characters == tuple("zebrac")
    # Counts run over all pieces: a is there 3 times, b twice.
    pieces = ["ba", "cab", "da"]
    assert CharacterVocabulary.build(pieces, min_count=2).characters == ("b", "a")
    assert CharacterVocabulary.build(iter(pieces), min_count=3).characters == ("a",)
    assert CharacterVocabulary.build([]).characters == ()
    with pytest.raises(ValueError, match="min_count"):
        CharacterVocabulary.build(["a"], min_count=0)


@pytest.mark.parametrize(
    ("characters", "start"),
    [("ab\ncd", 258), ("\n", 256), ("helo", 256), ("", 10)],
)
def test_start(characters, start):
    assert CharacterVocabulary(characters).start == start


def test_equality_hash_and_repr():
    one, same, other = (
        CharacterVocabulary("abc"),
        CharacterVocabulary(["a", "b", "c"]),
        CharacterVocabulary("acb"),
    )
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != ("a", "b", "c")
    assert repr(one) == repr(same) != repr(other)
    assert repr(one).startswith("CharacterVocabulary(256 bytes, 3 characters, sha256:")


def test_immutable():
    vocabulary = CharacterVocabulary("abc")
    with pytest.raises(AttributeError):
        vocabulary.characters = ()
    with pytest.raises(AttributeError):
        vocabulary.other = 1


@pytest.mark.parametrize(
    ("characters", "message"),
    [
        (["ab"], "single characters, not 'ab'"),
        ([""], "single characters, not ''"),
        (["a", 5], "single characters, not 5"),
        (["\ud83d"], "single characters, not"),
        ("abcb", "'b' occurs more than once"),
    ],
)
def test_constructor_refuses(characters, message):
    with pytest.raises(ValueError, match=message):
        CharacterVocabulary(characters)


def test_half_of_a_surrogate_pair_is_refused():
    vocabulary = CharacterVocabulary("abc")
    with pytest.raises(UserError, match=r"Character 3 of the text is U\+D83D, half of a surrogate pair"):
        vocabulary.encode("abc\ud83d")
    with pytest.raises(UserError, match=r"Character 0 of the text is U\+DCFF"):
        CharacterVocabulary.build(["ok", b"\xff".decode("utf-8", "surrogateescape")])


@pytest.mark.parametrize("foreign", [-1, 259])
@pytest.mark.parametrize("kind", [list, np.array])
def test_foreign_ids_are_refused(foreign, kind):
    vocabulary = CharacterVocabulary("abc")
    for decode in (vocabulary.decode, TextStream(vocabulary).feed):
        with pytest.raises(ValueError, match=f"Token id {foreign} is outside this vocabulary of 259 tokens"):
            decode(kind([256, foreign, 97]))


def test_bytes_that_are_no_text_become_the_replacement_character():
    vocabulary = CharacterVocabulary("a\u00e9")
    assert (
        vocabulary.decode([0xC3, 256, 0xFF, 0xC3, 0xA9, 257, 0xE2, 0x82]) == "\ufffda\ufffd\u00e9\u00e9\ufffd"
    )


def test_save_and_load(tmp_path):
    path = tmp_path / "vocabulary.json"
    for characters in ("", 'a\n\r\0"\\\u2028\x85\u0301\U0001f415<'):
        vocabulary = CharacterVocabulary(characters)
        vocabulary.save(path)
        assert CharacterVocabulary.load(path) == vocabulary
        assert (
            CharacterVocabulary.load(str(path)).encode("a\u00e9").tolist()
            == vocabulary.encode("a\u00e9").tolist()
        )
    tokens = load_tokens(path)
    assert tokens[0x41] == "<0x41>"
    assert tokens[255:258] == ["<0xFF>", "a", "\n"]


def test_edited_file_is_refused(tmp_path):
    path = tmp_path / "vocabulary.json"
    CharacterVocabulary("abc").save(path)
    document = json.loads(path.read_text())
    document["tokens"][256:] = ["b", "a", "c"]
    path.write_text(json.dumps(document))
    with pytest.raises(VocabularyError, match="checksum does not match its 259 tokens"):
        CharacterVocabulary.load(path)


def test_vocabularies_of_words_and_of_characters_are_told_apart(tmp_path):
    words, characters = tmp_path / "words.json", tmp_path / "characters.json"
    Vocabulary.build([["a", "dog"]]).save(words)
    CharacterVocabulary("abc").save(characters)
    with pytest.raises(
        VocabularyError, match=r"words\.json is a vocabulary of words\. Expected .* characters"
    ):
        CharacterVocabulary.load(words)
    with pytest.raises(VocabularyError, match=r"characters\.json is not a usable vocabulary"):
        Vocabulary.load(characters)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tokens: tokens[1:], "does not begin with the 256 bytes"),
        (lambda tokens: [*tokens, "ab"], "not a usable vocabulary: .*single characters"),
        (lambda tokens: [*tokens, "a"], "not a usable vocabulary: .*more than once"),
    ],
)
def test_other_vocabularies_are_refused(tmp_path, change, message):
    path = tmp_path / "vocabulary.json"
    CharacterVocabulary("abc").save(path)
    save_tokens(path, change(load_tokens(path)))
    with pytest.raises(VocabularyError, match=message):
        CharacterVocabulary.load(path)


@pytest.mark.parametrize("step", [1, 2, 3, 5])
@pytest.mark.parametrize("characters", ["", "helo \n", "\U0001f415\u00e9"])
@pytest.mark.parametrize("text", TEXTS)
def test_stream_gives_the_text_in_whole_characters(text, characters, step):
    vocabulary = CharacterVocabulary(characters)
    ids, stream = vocabulary.encode(text), TextStream(vocabulary)
    pieces = [stream.feed(ids[index : index + step]) for index in range(0, len(ids), step)]
    assert stream.finish() == ""
    assert "".join(pieces) == text
    for index in range(len(pieces)):  # what is complete is there at once
        complete = vocabulary.to_bytes(ids[: (index + 1) * step]).decode("utf-8", "ignore")
        assert "".join(pieces[: index + 1]) == complete


def test_stream_replaces_what_is_no_text():
    stream = TextStream(CharacterVocabulary("a\u00e9"))
    assert [stream.feed(ids) for ids in ([0xE2], [0x82], [256], [0xFF])] == ["", "", "\ufffda", "\ufffd"]
    assert stream.feed([0xF0, 0x9F]) == ""
    assert stream.finish() == "\ufffd"
    assert stream.feed([257]) == "\u00e9"
    assert stream.finish() == ""
