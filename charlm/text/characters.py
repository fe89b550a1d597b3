"""A vocabulary of characters with the 256 bytes as fallback, so that every text has ids."""

import codecs
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary, VocabularyError, checksum, load_tokens, save_tokens

BYTES = 256
_BYTE_TOKENS = tuple(f"<0x{value:02X}>" for value in range(BYTES))


class CharacterVocabulary:
    """An immutable list of Unicode characters, with the 256 bytes to fall back on.

    Tokens 0 to 255 are the bytes; the characters (code points) follow from 256 on. A character that is not in
    the vocabulary is spelled by its UTF-8 bytes, one token each. So every text can be encoded, and decoding
    gives it back. Nothing is normalised: carriage returns, NUL and combining marks are ordinary characters.

    Source of the method: byte fallback as in Kudo and Richardson, "SentencePiece: A simple and language
    independent subword tokenizer and detokenizer for neural text processing", EMNLP 2018.

    Args:
        characters: the characters in the order of their ids, each once; the list may be empty.

    Raises:
        ValueError: if one of them is not a single character, is half of a surrogate pair, or occurs twice.

    Example:

    >>> vocabulary = CharacterVocabulary.build(["hello"])
    >>> vocabulary.characters
    ('h', 'e', 'l', 'o')
    >>> vocabulary.encode("hole").tolist()
    [256, 259, 258, 257]
    >>> vocabulary.encode("h\\u00e9").tolist()
    [256, 195, 169]
    >>> vocabulary.decode([256, 195, 169])
    'h\u00e9'
    """

    __slots__ = ("_bytes", "_characters", "_ids")

    def __init__(self, characters: Iterable[str]):
        characters = tuple(characters)
        _check_characters(characters)
        codes = np.array([ord(character) for character in characters], dtype=np.int64)
        # From code points to ids, -1 if unknown. The last entry stands for all larger code points.
        self._ids = np.full(codes.max(initial=0) + 2, -1, dtype=np.int32)
        self._ids[codes] = np.arange(BYTES, BYTES + len(codes))
        self._characters = characters
        self._bytes = [bytes([value]) for value in range(BYTES)]
        self._bytes += [character.encode() for character in characters]

    @classmethod
    def build(cls, texts: Iterable[str], min_count: int = 1) -> "CharacterVocabulary":
        """Collects the characters of texts in the order of their first appearance.

        Args:
            texts: texts, or pieces of one, of any length.
            min_count: the smallest number of occurrences; rarer characters are spelled in bytes.

        Returns:
            The vocabulary.

        Raises:
            ValueError: if `min_count` is below 1.
            UserError: if a text holds half of a surrogate pair.
        """
        if min_count < 1:
            raise ValueError(f"min_count must be at least 1, not {min_count}.")
        counts: dict[int, int] = {}
        for text in texts:
            codes, first, seen = np.unique(_code_points(text), return_index=True, return_counts=True)
            for index in np.argsort(first).tolist():
                code = int(codes[index])
                counts[code] = counts.get(code, 0) + int(seen[index])
        return cls(chr(code) for code, count in counts.items() if count >= min_count)

    def extended(self, other: "CharacterVocabulary") -> "CharacterVocabulary":
        """This vocabulary, followed by the characters of another that it lacks.

        Example:

        >>> CharacterVocabulary("abc").extended(CharacterVocabulary("cd")).characters
        ('a', 'b', 'c', 'd')
        """
        return CharacterVocabulary(dict.fromkeys((*self.characters, *other.characters)))

    @property
    def characters(self) -> tuple[str, ...]:
        """The characters in the order of their ids, which begin at 256."""
        return self._characters

    @property
    def start(self) -> int:
        """The token that replaces an empty prompt: the line break, or if it is unknown, the first character;
        in a vocabulary without characters, the byte of the line break."""
        if "\n" in self or not self._characters:
            return int(self.encode("\n")[0])
        return BYTES

    def encode(self, text: str) -> np.ndarray:
        """The ids of a text.

        Args:
            text: any text.

        Returns:
            `(tokens,)` int32; one token for each known character, one for each byte of an unknown one.

        Raises:
            UserError: if the text holds half of a surrogate pair, which has no bytes.
        """
        codes = _code_points(text)
        ids = self._ids.take(codes, mode="clip")
        unknown = ids < 0
        if not unknown.any():
            return ids
        spelled = codes[unknown].tobytes().decode("utf-32-le").encode()
        lengths = np.where(unknown, _utf8_lengths(codes), 1)
        result = np.repeat(ids, lengths)
        result[np.repeat(unknown, lengths)] = np.frombuffer(spelled, np.uint8)
        return result

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are not valid UTF-8 become U+FFFD.

        Raises:
            ValueError: if an id is not in this vocabulary.
        """
        return self.to_bytes(ids).decode("utf-8", "replace")

    def to_bytes(self, ids: Iterable[int]) -> bytes:
        """The UTF-8 bytes of `ids`, which may begin or end inside a character.

        Args:
            ids: integers in [0, len(self)).

        Raises:
            ValueError: if an id is not in this vocabulary.
        """
        numbers = ids.tolist() if isinstance(ids, np.ndarray) else [int(index) for index in ids]
        if numbers and not (min(numbers) >= 0 and max(numbers) < len(self)):
            foreign = next(index for index in numbers if not 0 <= index < len(self))
            raise ValueError(f"Token id {foreign} is outside this vocabulary of {len(self)} tokens.")
        return b"".join([self._bytes[index] for index in numbers])

    def token_bytes(self) -> list[bytes]:
        """The UTF-8 bytes of each token in the order of ids, for decoding inside a graph."""
        return list(self._bytes)

    @property
    def tokens(self) -> tuple[str, ...]:
        """All tokens in the order of their ids, bytes as `<0x41>`."""
        return self._tokens

    def save(self, path: str | Path) -> None:
        """Writes the vocabulary as JSON, bytes as `<0x41>`, with a checksum over the tokens.

        Raises:
            FileError: if the file cannot be written.
        """
        save_tokens(path, self._tokens)

    @classmethod
    def load(cls, path: str | Path) -> "CharacterVocabulary":
        """Reads a vocabulary that `save` wrote.

        Raises:
            VocabularyError: if the file is missing, is not a vocabulary of characters, or was changed.
        """
        tokens = tuple(load_tokens(path))
        if tokens[:BYTES] != _BYTE_TOKENS:
            words = tokens[: len(Vocabulary.SPECIALS)] == Vocabulary.SPECIALS
            problem = "is a vocabulary of words" if words else "does not begin with the 256 bytes"
            raise VocabularyError(
                f"{path} {problem}. Expected a vocabulary of characters, as charlm writes it. Name a model "
                "that charlm trained."
            )
        try:
            return cls(tokens[BYTES:])
        except ValueError as error:
            raise VocabularyError(f"{path} is not a usable vocabulary: {error}") from error

    @property
    def _tokens(self) -> tuple[str, ...]:
        return (*_BYTE_TOKENS, *self._characters)

    def __len__(self) -> int:
        return BYTES + len(self._characters)

    def __contains__(self, character: str) -> bool:
        return character in self._characters

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CharacterVocabulary) and self._characters == other._characters

    def __hash__(self) -> int:
        return hash(self._characters)

    def __repr__(self) -> str:
        characters = len(self._characters)
        return f"CharacterVocabulary(256 bytes, {characters} characters, {checksum(self._tokens)[:15]})"


class TextStream:
    """Decodes tokens that arrive piece by piece; a character appears as soon as its last byte is there.

    Args:
        vocabulary: the vocabulary of the tokens.

    Example:

    >>> stream = TextStream(CharacterVocabulary("abc"))
    >>> stream.feed([256, 195]), stream.feed([169, 258]), stream.feed([195]), stream.finish()
    ('a', '\u00e9c', '', '\ufffd')
    """

    def __init__(self, vocabulary: CharacterVocabulary):
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, ids: Iterable[int]) -> str:
        """The text that these tokens complete; bytes that are not valid UTF-8 become U+FFFD.

        Raises:
            ValueError: if an id is not in the vocabulary.
        """
        return self._decoder.decode(self._vocabulary.to_bytes(ids))

    def finish(self) -> str:
        """Ends the stream: U+FFFD if a character is incomplete, else nothing. It can then be used again."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return rest


def _check_characters(characters: Sequence[str]) -> None:
    wrong = [c for c in characters if not isinstance(c, str) or len(c) != 1 or "\ud800" <= c <= "\udfff"]
    if wrong:
        raise ValueError(f"A vocabulary of characters holds single characters, not {wrong[0]!r}.")
    if len(set(characters)) != len(characters):
        twice = next(c for index, c in enumerate(characters) if c in characters[:index])
        raise ValueError(f"A vocabulary holds each character once, but {twice!r} occurs more than once.")


def _code_points(text: str) -> np.ndarray:
    """The code points of a text, `(characters,)` little-endian uint32."""
    try:
        return np.frombuffer(text.encode("utf-32-le"), "<u4")
    except UnicodeEncodeError as error:
        raise UserError(
            f"Character {error.start} of the text is U+{ord(text[error.start]):04X}, half of a surrogate "
            "pair. It comes from bytes that are not UTF-8 or from a broken escape: give the text as UTF-8."
        ) from error


def _utf8_lengths(codes: np.ndarray) -> np.ndarray:
    return 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)
