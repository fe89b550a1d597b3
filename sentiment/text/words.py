"""Splitting a text into words, by rules that Python and a TensorFlow graph apply alike.

A text is folded, character by character (`fold_table`); then regular expressions (`rules`) put spaces between
its words, and it is split at the spaces. `sentiment.text.graph` does the same inside a graph, with the same
table and the same expressions, which mean the same in Python's `re` (in ASCII mode) and in RE2. This module
imports neither Keras nor TensorFlow.
"""

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from shared.text.vocabulary import Vocabulary

# Characters inside words after the rules were applied; in texts, they are folded to others first.
APOSTROPHE, POINT, SLASH = "\u2019", "\u2024", "\u2044"

# Punctuation of several characters becomes one: ... and !! and :-) are one word each.
_BEFORE = (
    (r"<(?:br|p|hr) {0,3}/?>", " "),  # breaks between lines and paragraphs
    (r"</?[a-z][a-z0-9]{0,9}(?: [^<>]{0,200})?/?>", " "),  # other HTML tags
    (r"&(?:quot|[lr]dquo|#34|#x22|#822[01]|#x201[cd]);", '"'),
    (r"&(?:apos|[lr]squo|#0?39|#x27|#821[67]|#x201[89]);", "'"),
    (r"&(?:nbsp|#160|#xa0);", " "),
    (r"&(?:lt|#60|#x3c);", "<"),
    (r"&(?:gt|#62|#x3e);", ">"),
    (r"&(?:amp|#38|#x26);", "&"),
    (r"([0-9])\.([0-9])", rf"\1{POINT}\2"),  # 7.5
    (r"([0-9]) ?/ ?([0-9])", rf"\1{SLASH}\2"),  # 7/10, as ratings are given
    (r"\.\.+", "\u2026"),
    (r"!!+", "\u203c"),
    (r"\?\?+", "\u2047"),
    (r"--+", "\u2014"),
    (r"[:;=]-?\)+", "\u263a"),
    (r"[:;=]-?\(+", "\u2639"),
    # English contractions are split as in the Penn Treebank: do n't, it 's, they 've.
    (r"([a-z])n't\b", rf"\1 n{APOSTROPHE}t"),
    (r"([a-z0-9])'(s|re|ve|ll|d|m)\b", rf"\1 {APOSTROPHE}\2"),
    (r"([a-z])'([a-z])", rf"\1{APOSTROPHE}\2"),  # o'brien
)


@functools.cache
def rules() -> tuple[tuple[str, str], ...]:
    r"""Regular expressions and their replacements, to be applied in order to a folded text.

    `\1` in a replacement is the first group.
    """
    letter, mark = _runs(_unspaced_letters()), _runs((*_VOICE_MARKS, *_south_east("M")))
    # A flag is two letters, and a letter of a script without spaces keeps its vowels and tones.
    alone = f"[{symbol_class()}]|[{_runs(_FLAG_LETTERS)}]{{1,2}}|[{letter}][{mark}]*"
    return (*_BEFORE, (f"({alone})", r" \1 "))


@functools.cache
def _compiled() -> tuple[tuple[re.Pattern, str], ...]:
    return tuple((re.compile(pattern, re.ASCII), replacement) for pattern, replacement in rules())


def split_words(text: str) -> list[str]:
    """The words of a text, in lower case; a punctuation mark, an emoji or a Han character is a word.

    Folding works character by character, so that a graph can do it. Letters with accents of other scripts
    than Latin, Greek and Cyrillic, and Hangul, are therefore different words in their composed and in their
    decomposed form.

    Args:
        text: any text.

    Returns:
        The words in order.

    Example:

    >>> print(*split_words("I don't like it... <br /><br />It's 3/10, at \u201cbest\u201d!!!"))
    i do n\u2019t like it \u2026 it \u2019s 3\u204410 , at " best " \u203c
    """
    text = text.translate(fold_table())
    for pattern, replacement in _compiled():
        text = pattern.sub(replacement, text)
    return text.split()


def encode_words(vocabulary: Vocabulary, words: Sequence[str]) -> np.ndarray:
    """The ids `(tokens,)` int32 of words, between start and end.

    Example:

    >>> vocabulary = Vocabulary((*Vocabulary.SPECIALS, "a", "good", "film"))
    >>> encode_words(vocabulary, split_words("A good movie")).tolist()
    [1, 4, 5, 3, 2]
    """
    return np.array([Vocabulary.START, *vocabulary.encode(words), Vocabulary.END], np.int32)


@functools.cache
def fold_table() -> dict[int, int | None]:
    """The table for `str.translate`: the characters that change, and None for those that are left out.

    Letters become lower case and lose Latin, Greek or Cyrillic accents, whether those are part of the
    character or follow it. Letters of full, half or mathematical width, and all dashes, quotation marks and
    white space become the plain ones. Control characters, lone surrogates and U+FFFD, which replaces
    unreadable bytes, become spaces. Joiners, direction marks and variation selectors are left out.

    Example:

    >>> "\\u201cCaf\\u00e9\\u2019s\\u201d".translate(fold_table())
    '"cafe\\'s"'
    """
    table: dict[int, int | None] = {}
    for code in _candidates():
        character = chr(code)
        folded = _fold(character)
        if folded != character:
            table[code] = ord(folded) if folded else None
    return table


# Ranges of Unicode without any character that is folded, or punctuation: Han, Hangul, private use, and
# unassigned planes.
_SKIPPED = (
    range(0x3400, 0x4DC0),
    range(0x4E00, 0xA000),
    range(0xAC00, 0xD7A4),
    range(0xE000, 0xF900),
    range(0x20000, 0x2F800),
    range(0x2FA20, 0xE0000),
    range(0xE0200, 0x110000),
)


def _candidates() -> Iterator[int]:
    """All code points outside the skipped ranges."""
    first = 0
    for skipped in _SKIPPED:
        yield from range(first, skipped.start)
        first = skipped.stop


# Accents that follow their letter, then variation selectors.
_ACCENTS = (
    *(range(0x300, 0x370), range(0x483, 0x48A), range(0x1AB0, 0x1B00)),
    *(range(0x1DC0, 0x1E00), range(0x20D0, 0x2100), range(0xFE20, 0xFE30)),
)
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))

_PLAIN = {
    **{chr(code): "" for codes in (*_ACCENTS, *_SELECTORS) for code in codes},
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u02b9\u2032`\u00b4", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-"),
    "\u2015": "\u2014",
    POINT: ".",
    SLASH: "/",
    "\u03c2": "\u03c3",  # the sigma at the end of a word
    "\u200b": " ",  # a space of no width, between words of scripts without spaces
    "\ufffd": " ",
}

_CATEGORIES = {**dict.fromkeys(("Zs", "Zl", "Zp", "Cc", "Cs"), " "), "Cf": ""}


def _fold(character: str) -> str:
    """The character that replaces this one; empty: none."""
    while True:
        if (plain := _PLAIN.get(character)) is not None:
            return plain
        if (plain := _CATEGORIES.get(unicodedata.category(character))) is not None:
            return plain
        base = _without_accents(character).lower()[:1]  # the second of two is an accent
        if base == character:
            return character
        character = base


def _without_accents(character: str) -> str:
    """The letter without its accents, the plain form of one of another width, the same otherwise."""
    parts = unicodedata.decomposition(character).split()
    if not parts:
        return character
    if parts[0].startswith("<"):
        return chr(int(parts[1], 16)) if parts[0] in ("<wide>", "<narrow>", "<font>") else character
    base, *marks = unicodedata.normalize("NFD", character)
    return base if all(_PLAIN.get(mark) == "" for mark in marks) else character


@functools.cache
def symbol_class() -> str:
    """Punctuation and symbols, each a word, as the inside of a character class of a regular expression."""
    never = {*fold_table(), *map(ord, (APOSTROPHE, POINT, SLASH)), *_FLAG_LETTERS}
    return _runs(
        code for code in _candidates() if unicodedata.category(chr(code))[0] in "PS" and code not in never
    )


_FLAG_LETTERS = range(0x1F1E6, 0x1F200)  # two of them are a flag

# Scripts without spaces between words: Hiragana, Katakana and Han, with room for later additions to Unicode;
# then the blocks of Thai and Lao, Myanmar, and Khmer, which contain digits and punctuation, too.
_KANA_AND_HAN = (
    *(range(0x3005, 0x3008), range(0x3040, 0x3099), range(0x309B, 0x3100), range(0x3400, 0x4DC0)),
    *(range(0x4E00, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x323B0)),
)
_SOUTH_EAST = (range(0xE00, 0xF00), range(0x1000, 0x10A0), range(0x1780, 0x1800))
_VOICE_MARKS = (0x3099, 0x309A)  # of kana


def _unspaced_letters() -> Iterator[int]:
    for codes in _KANA_AND_HAN:
        yield from codes
    yield from _south_east("L")


def _south_east(kind: str) -> Iterator[int]:
    for codes in _SOUTH_EAST:
        yield from (code for code in codes if unicodedata.category(chr(code))[0] == kind)


def _runs(codes: Iterable[int]) -> str:
    """Code points as the inside of a character class of a regular expression."""
    runs: list[list[int]] = []
    for code in sorted(codes):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(_escaped(low) + ("" if low == high else "-" + _escaped(high)) for low, high in runs)


def _escaped(code: int) -> str:
    return ("\\" if code < 128 else "") + chr(code)
