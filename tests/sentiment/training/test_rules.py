"""Sentences made by rules: whose label they have, and for which texts there are any."""

import numpy as np
import pytest

from sentiment.text.words import encode_words, split_words
from sentiment.training.pieces import TaughtPieces
from sentiment.training.rules import CONTRASTS, SIMPLE, SUBJECTS, VERBS, NegationRules
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary

BAD = ("dull", "awful", "boring", "stale", "poor")
GOOD = ("superb", "lovely", "great", "fresh", "clever")
TEXTS = [f"very {word}. so {word}. the very idea" for word in BAD + GOOD] * 3
FRAMES = [
    template.format(subject=subject, other="the film", verb=verb, word="dull", opposite="great")
    for template, _ in SIMPLE + CONTRASTS
    for subject in SUBJECTS
    for verb in VERBS
]
VOCABULARY = Vocabulary.build([split_words(text) for text in [*TEXTS, *FRAMES]])
REVIEWS = [encode_words(VOCABULARY, split_words(text)) for text in TEXTS]
(DULL,) = VOCABULARY.encode(["dull"])


def likely(pieces):
    """Knows the words of blame and praise, and nothing of others."""
    bad, good = (VOCABULARY.encode(words) for words in (BAD, GOOD))
    rows = {**dict.fromkeys(bad, 0.1), **dict.fromkeys(good, 0.9)}
    likely = np.array([rows.get(int(ids[1]), 0.5) for ids in pieces])
    return np.stack([1 - likely, likely], axis=1)


def test_the_words_are_those_that_have_degrees_and_tell():
    rules = NegationRules(REVIEWS, VOCABULARY, likely)
    assert [set(words) for words in rules.words] == [set(BAD), set(GOOD)]


def test_negation_is_for_the_other_label_and_after_but_counts_what_follows():
    rules, seen = NegationRules(REVIEWS, VOCABULARY, likely), set()
    texts, targets = rules.draw(400, np.random.default_rng(3))
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, atol=1e-6)
    for ids, row in zip(texts, targets, strict=True):
        words = [VOCABULARY.tokens[one] for one in ids[1:-1]]
        assert Vocabulary.UNK not in ids
        told = [index for word in words for index, some in enumerate((BAD, GOOD)) if word in some]
        negated = {"not", "n\u2019t", "never", "far", "hardly", "nothing", "nobody"} & {*words}
        is_negated = len(told) == 1 and bool(negated)
        expected = 1 - told[-1] if is_negated else told[-1]
        assert row.argmax() == expected, " ".join(words)
        seen.add((len(told), bool(is_negated), int(expected)))
    assert len(seen) == 6, "plain, negated and contrasted sentences of both labels"


def test_some_pieces_are_made_by_rules():
    targets = np.eye(2, dtype=np.float32)[[0] * 5 + [1] * 5]
    targets = np.tile(targets, (3, 1))
    pieces = TaughtPieces(REVIEWS, targets, VOCABULARY, rules=0.5)
    texts, taught = pieces.draw(np.arange(30), np.random.default_rng(1))
    assert (len(texts), taught.shape) == (30, (30, 2))
    own = {tuple(ids.tolist()) for ids in REVIEWS}
    of_rules = [ids for ids in texts if not any(set(ids.tolist()) <= set(one) for one in own)]
    assert len(of_rules) >= 14


@pytest.mark.parametrize("labels", [2, 3])
def test_texts_without_words_of_degree_and_other_labels_are_refused(labels):
    texts = REVIEWS if labels == 3 else [encode_words(VOCABULARY, ["dull", "film"])]

    def rows(pieces):
        return np.full((len(pieces), labels), 1 / labels)

    with pytest.raises(UserError, match="--rules makes English sentences"):
        NegationRules(texts, VOCABULARY, rows)
