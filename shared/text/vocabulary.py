"""Words and numbers: a tokeniser and the vocabulary that all apps write and read."""

import functools
import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from shared.system.cli import UserError
from shared.system.files import write_atomic

FORMAT = "unrolled vocabulary"
FORMAT_VERSION = 1

# Typographic twins of the two marks that may stand inside a word.
_TWINS = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2010": "-", "\u2011": "-"})


class VocabularyError(UserError):
    """A vocabulary file that is missing, damaged or edited, or is none at all."""


@functools.cache
def marks_pattern() -> str:
    """All combining marks, for use within the brackets of a pattern."""
    return "".join(chr(c) for c in range(0x300, 0x20000) if unicodedata.category(chr(c)).startswith("M"))


@functools.cache
def _word_pattern() -> re.Pattern:
    """The pattern of one word: letters, digits and their combining marks, joined by single ' or -.

    `\\w` leaves out combining marks, without which words of many scripts would fall apart. The zero-width
    joiners belong to the spelling of Persian and Indic words.
    """
    part = rf"[^\W_](?:[^\W_]|[{marks_pattern()}])*"
    return re.compile(rf"{part}(?:['\-\u200c\u200d]{part})*")


def tokenize_words(text: str) -> list[str]:
    """Splits a text into lower-case words.

    Words of any script; punctuation is dropped, apostrophes and hyphens inside a word are kept.

    Args:
        text: any text.

    Returns:
        The words in order.

    Example:

    >>> tokenize_words("A T-shirt, the dog's \\u2014 2 of 'em!")
    ['a', 't-shirt', 'the', "dog's", '2', 'of', 'em']
    """
    return _word_pattern().findall(unicodedata.normalize("NFC", text).lower().translate(_TWINS))


class Vocabulary:
    """An immutable list of tokens; a token's index is its id.

    The first four are special: `<pad>` fills up a batch, `<start>` and `<end>` bound a text, `<unk>` stands
    for every token that the vocabulary lacks.

    Args:
        tokens: all tokens, the four special ones first, each once.

    Raises:
        ValueError: if `tokens` does not begin with the special tokens, or holds a token twice.

    Example:

    >>> vocabulary = Vocabulary.build([["a", "dog", "runs"], ["a", "cat"], ["a", "dog"]], min_count=2)
    >>> vocabulary.tokens
    ('<pad>', '<start>', '<end>', '<unk>', 'a', 'dog')
    >>> vocabulary.encode(["a", "cat"])
    [4, 3]
    >>> vocabulary.decode([Vocabulary.START, 4, 5, Vocabulary.END, 4])
    ['a', 'dog']
    """

    PAD, START, END, UNK = range(4)
    SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")

    __slots__ = ("_ids", "_tokens")

    def __init__(self, tokens: Iterable[str]):
        tokens = tuple(tokens)
        if tokens[: len(self.SPECIALS)] != self.SPECIALS:
            raise ValueError(
                f"A vocabulary starts with {self.SPECIALS}, but this one starts with {tokens[:4]}."
            )
        if not all(isinstance(token, str) for token in tokens):
            raise ValueError("A vocabulary holds strings only.")
        ids = {token: index for index, token in enumerate(tokens)}
        if len(ids) != len(tokens):
            twice = [token for token, count in Counter(tokens).items() if count > 1]
            raise ValueError(
                f"A vocabulary holds each token once, but these are there more often: {twice[:5]}."
            )
        self._tokens = tokens
        self._ids = ids

    @classmethod
    def build(
        cls, token_lists: Iterable[Iterable[str]], min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """Counts tokens and keeps the frequent ones, by falling count, equal counts in alphabetical order.

        Args:
            token_lists: tokenised texts.
            min_count: tokens seen less often are left out.
            max_size: largest length of the vocabulary, special tokens included; None: no limit.

        Returns:
            The vocabulary. Special tokens that occur in the texts are not counted.

        Raises:
            ValueError: if `min_count` or `max_size` leaves no sensible vocabulary.
        """
        if min_count < 1:
            raise ValueError(f"min_count must be at least 1, not {min_count}.")
        if max_size is not None and max_size < len(cls.SPECIALS):
            raise ValueError(
                f"max_size counts the {len(cls.SPECIALS)} special tokens too; {max_size} is too small."
            )
        counts = Counter(token for tokens in token_lists for token in tokens)
        frequent = [
            token for token, count in counts.items() if count >= min_count and token not in cls.SPECIALS
        ]
        frequent.sort(key=lambda token: (-counts[token], token))
        return cls((*cls.SPECIALS, *frequent)[:max_size])

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in the order of their ids."""
        return self._tokens

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The ids of `tokens`; unknown ones become `UNK`. Start and end are not added."""
        return [self._ids.get(token, self.UNK) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens of `ids` up to the first `END`, without `PAD` and `START`.

        Args:
            ids: integers, e.g. one row of an array, in [0, len(self)).

        Raises:
            ValueError: if an id is not of this vocabulary.
        """
        tokens = []
        for index in map(int, ids):
            if index == self.END:
                break
            if not 0 <= index < len(self._tokens):
                raise ValueError(
                    f"Token id {index} is outside this vocabulary of {len(self._tokens)} tokens."
                )
            if index not in (self.PAD, self.START):
                tokens.append(self._tokens[index])
        return tokens

    def save(self, path: str | Path) -> None:
        """Writes the vocabulary as JSON, one token a line, with a checksum over the tokens.

        Raises:
            RunError: if the file cannot be written.
        """
        save_tokens(path, self._tokens)

    @classmethod
    def load(cls, path: str | Path) -> "Vocabulary":
        """Reads a vocabulary that `save` wrote.

        Raises:
            VocabularyError: if the file is absent, is no vocabulary, or was changed since.
        """
        try:
            return cls(load_tokens(path))
        except ValueError as error:
            raise VocabularyError(f"{path} is not a usable vocabulary: {error}") from error

    def __len__(self) -> int:
        return len(self._tokens)

    def __contains__(self, token: str) -> bool:
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._tokens == other._tokens

    def __hash__(self) -> int:
        return hash(self._tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, {checksum(self._tokens)[:15]})"


def save_tokens(path: str | Path, tokens: Sequence[str]) -> None:
    """Writes the file of a vocabulary: its tokens as JSON, one a line, with a checksum over them.

    Args:
        path: the file; one that is there is replaced, whole or not at all.
        tokens: all tokens in the order of their ids.

    Raises:
        RunError: if the file cannot be written.
    """
    text = tokens_text(tokens)
    write_atomic(path, lambda file: file.write_text(text, encoding="utf-8", newline="\n"))


def tokens_text(tokens: Sequence[str]) -> str:
    """What `save_tokens` writes of these tokens."""
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "checksum": checksum(tokens),
        "tokens": list(tokens),
    }
    return json.dumps(document, ensure_ascii=False, indent=0) + "\n"


def load_tokens(path: str | Path) -> list[str]:
    """Reads the tokens that `save_tokens` wrote.

    Args:
        path: the file of a vocabulary, of words or of characters.

    Returns:
        The tokens in the order of their ids.

    Raises:
        VocabularyError: if the file is absent, is no vocabulary, or was changed since.
    """
    document = _read_document(path)
    tokens = document["tokens"]
    if document.get("checksum") != checksum(tokens):
        raise VocabularyError(
            f"The vocabulary {path} was changed after it was written: its checksum does not match its "
            f"{len(tokens)} tokens. A model's tokens must stay as they were trained: restore the original."
        )
    return tokens


def checksum(tokens: Sequence[str]) -> str:
    """A digest of tokens and their order, which a vocabulary's file and its `repr` show."""
    canonical = json.dumps(list(tokens), separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _read_document(path: str | Path) -> dict:
    """The JSON object of a vocabulary file, checked as far as its shape goes."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise VocabularyError(
            f"Cannot read the vocabulary {path}: {error.strerror}. A model needs the one it was trained with."
        ) from error
    except (RecursionError, ValueError) as error:
        raise VocabularyError(f"The vocabulary {path} is not JSON text: {error}.") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise VocabularyError(
            f'{path} is not a vocabulary: expected a JSON object with "format": "{FORMAT}".'
        )
    if document.get("version") != FORMAT_VERSION:
        raise VocabularyError(
            f"The vocabulary {path} has format version {document.get('version')}; this release reads version "
            f"{FORMAT_VERSION}. Use the release that wrote it, or a newer one."
        )
    tokens = document.get("tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise VocabularyError(f'{path} is not a vocabulary: "tokens" must be a list of strings.')
    return document
