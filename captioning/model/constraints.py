"""The words of a search's constraints as the tokens of a model's vocabulary."""

from typing import Any, NamedTuple

from captioning.config import FINAL_WORDS, Constraints
from shared.system.cli import UserError, did_you_mean
from shared.text.vocabulary import Vocabulary


class TokenConstraints(NamedTuple):
    """`captioning.config.Constraints` as ids, in tuples or in tensors (tokens,) int32."""

    must: Any = ()
    never: Any = ()
    prefix: Any = ()

    @classmethod
    def of(cls, words: Constraints, vocabulary: Vocabulary) -> "TokenConstraints":
        """The ids of words; a word of `never` that the vocabulary lacks cannot occur anyway.

        Raises:
            UserError: the vocabulary lacks a word of `must` or `prefix`.
        """
        for name, required in (("must", words.must), ("prefix", words.prefix)):
            for word in required:
                if word not in vocabulary:
                    raise UserError(
                        f"The model does not know the word {word!r} of {name}; its vocabulary has "
                        f"{len(vocabulary)} words.{did_you_mean(word, vocabulary.tokens)}"
                    )
        return cls(*(known_ids(words, vocabulary) for words in words))


def known_ids(words: tuple[str, ...], vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids of those words that the vocabulary has."""
    return tuple(vocabulary.encode(word for word in words if word in vocabulary))


def final_tokens(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids of words that no caption ends on."""
    return known_ids(FINAL_WORDS, vocabulary)
