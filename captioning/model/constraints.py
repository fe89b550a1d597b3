"""The words of a search's constraints as the tokens of a model's vocabulary, in Python and in a graph."""

from typing import Any, NamedTuple

import tensorflow as tf

from captioning.config import FINAL_WORDS, Constraints
from captioning.config.search import BAD_ENDING, IN_BOTH, TOO_MANY_WORDS
from shared.system.cli import UserError, did_you_mean
from shared.text.vocabulary import Vocabulary

UNKNOWN_WORD = "The model does not know the word '{word}' of {name}"
# Tokens that no caption has.
SPECIAL = (Vocabulary.PAD, Vocabulary.START, Vocabulary.UNK)


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
                        f"{UNKNOWN_WORD.format(word=word, name=name)}; its vocabulary has "
                        f"{len(vocabulary)} words.{did_you_mean(word, vocabulary.tokens)}"
                    )
        return cls(*(known_ids(words, vocabulary) for words in words))


def known_ids(words: tuple[str, ...], vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids of those words that the vocabulary has."""
    return tuple(vocabulary.encode(word for word in words if word in vocabulary))


def final_tokens(vocabulary: Vocabulary) -> tuple[int, ...]:
    """The ids of words that no caption ends on."""
    return known_ids(FINAL_WORDS, vocabulary)


def constraints_in_graph(
    must, never, prefix, vocabulary: Vocabulary, max_length: int, open_endings: bool
) -> tuple[TokenConstraints, Any]:
    """What `Constraints` and `TokenConstraints` do in Python, for an exported model.

    Args:
        must, never: (texts,) string.
        prefix: scalar string.
        vocabulary: of the model.
        max_length, open_endings: options of its search.

    Returns:
        The ids, and a scalar string that says why no caption can meet them; empty if one can.
    """
    must, never, prefix = tf.unique(_words(must)).y, _words(never), _words(prefix[None])
    known = tf.constant(vocabulary.tokens)
    problems = [
        _name_first(must, ~_is_in(must, known), UNKNOWN_WORD, name="must"),
        _name_first(prefix, ~_is_in(prefix, known), UNKNOWN_WORD, name="prefix"),
        _name_first(must, _is_in(must, never), IN_BOTH, name="must"),
        _name_first(prefix, _is_in(prefix, never), IN_BOTH, name="prefix"),
        *_problems_of_length(must, prefix, max_length, open_endings),
    ]
    problem = _first(tf.stack(problems))
    return TokenConstraints(*(_ids_of_known(words, known) for words in (must, never, prefix))), problem


def _problems_of_length(must, prefix, max_length, open_endings):
    is_new = ~_is_in(must, prefix)
    needed = tf.size(prefix) + tf.reduce_sum(tf.cast(is_new, tf.int32))
    too_many = TOO_MANY_WORDS.replace("{count}", "{word}")
    yield _name_first(
        tf.strings.as_string(needed)[None], needed[None] > max_length, too_many, most=max_length
    )
    last = tf.cond(tf.reduce_any(is_new), lambda: tf.boolean_mask(must, is_new), lambda: prefix[-1:])
    ends_badly = (needed == max_length) & tf.reduce_all(_is_in(last, tf.constant(FINAL_WORDS)))
    if not open_endings:
        yield _name_first(last, tf.fill(tf.shape(last), ends_badly), BAD_ENDING, most=max_length)


def _words(texts):
    """The words of texts, (words,) string: `tokenize_words`, but for rare marks inside words."""
    text = tf.strings.lower(tf.strings.reduce_join(texts, separator=" "), encoding="utf-8")
    text = tf.strings.regex_replace(text, r"[^\pL\pM\pN'\-]+", " ")
    text = tf.strings.regex_replace(text, r"(^| )['\-]+|['\-]+( |$)", " ")
    return tf.strings.split(text)


def _is_in(words, others):
    return tf.reduce_any(words[:, None] == others[None, :], axis=1)


def _ids_of_known(words, known):
    words = tf.boolean_mask(words, _is_in(words, known))
    return tf.argmax(tf.cast(words[:, None] == known[None, :], tf.int8), axis=1, output_type=tf.int32)


def _name_first(words, is_bad, message, **details):
    """The message as a sentence about the first bad word; empty if none is bad."""
    before, after = message.format(word="\0", **details).split("\0")
    return _first(tf.strings.join([before, tf.boolean_mask(words, is_bad), after + "."]))


def _first(texts):
    """The first text that is not empty; an empty one if all are."""
    return tf.concat([tf.boolean_mask(texts, texts != ""), [""]], axis=0)[0]
