"""Pieces of reviews: where sentences end, which pieces are drawn, and what is learned of them."""

import numpy as np
import pytest

from sentiment.text.words import encode_words, split_words
from sentiment.training.batches import ReviewBatches
from sentiment.training.pieces import MOST_SENTENCES, OF_REVIEW, Pieces, SentenceTeacher, TaughtPieces
from shared.text.vocabulary import Vocabulary

TEXTS = [
    "It was superb! (Really.) I saw it twice... and again",
    "It was awful?! I left. I slept. I wept. I went home, again, and slept",
    "no end here",
    "",
    "superb superb. awful",
]
VOCABULARY = Vocabulary.build([split_words(text) for text in TEXTS])
REVIEWS = [encode_words(VOCABULARY, split_words(text)) for text in TEXTS]
TARGETS = np.eye(2, dtype=np.float32)[[1, 0, 1, 0, 1]]


def words_of(ids):
    return " ".join(VOCABULARY.tokens[one] for one in ids)


def test_sentences_end_after_their_marks_and_brackets():
    texts, sources = Pieces(REVIEWS, VOCABULARY).sentences()
    assert [words_of(ids) for ids, source in zip(texts, sources, strict=True) if source == 0] == [
        "it was superb !",
        "( really . )",
        "i saw it twice \u2026",
        "and again",
    ]
    assert [words_of(ids) for ids, source in zip(texts, sources, strict=True) if source == 1][:2] == [
        "it was awful ? !",
        "i left .",
    ]
    for index, review in enumerate(REVIEWS):
        together = [ids for ids, source in zip(texts, sources, strict=True) if source == index]
        np.testing.assert_array_equal(np.concatenate([*together, []]), review[1:-1])
    assert len(texts) <= MOST_SENTENCES


def test_a_piece_is_a_run_of_at_most_four_sentences_of_its_review():
    pieces = Pieces(REVIEWS, VOCABULARY)
    texts, sources = pieces.sentences()
    rng, seen = np.random.default_rng(2), set()
    for _ in range(60):
        for index, piece in enumerate(pieces.draw(range(5), rng)):
            assert (piece[0], piece[-1]) == (Vocabulary.START, Vocabulary.END)
            own = [words_of(ids) for ids, source in zip(texts, sources, strict=True) if source == index]
            runs = {
                " ".join(own[a:b]) for a in range(len(own)) for b in range(a + 1, min(a + 5, len(own) + 1))
            }
            assert words_of(piece[1:-1]) in (runs or {""})
            seen.add((index, words_of(piece[1:-1])))
    assert {(0, "it was superb !"), (1, "i wept ."), (2, "no end here"), (3, "")} <= seen
    assert any(words.count(".") == 3 for index, words in seen if index == 1), (
        "runs of sentences are pieces, too"
    )


def test_a_batch_has_pieces_in_the_place_of_some_reviews():
    many, targets = REVIEWS * 12, np.tile(TARGETS, (12, 1))
    pieces = TaughtPieces(many, targets, VOCABULARY)

    def read(epoch, share):
        batches = ReviewBatches(many, targets, 10, 16, seed=3, pieces=pieces, share=share)
        return list(batches(epoch))

    whole = {words_of(ids) for ids in REVIEWS}
    for share, low, high in ((0.0, 60, 60), (0.5, 30, 55), (1.0, 0, 40)):
        texts = [
            words_of(tokens[mask])
            for batch in read(1, share)
            for tokens, mask in zip(batch["tokens"], batch["mask"], strict=True)
        ]
        assert len(texts) == 60
        assert low <= sum(text in whole for text in texts) <= high
    again, other = read(1, 0.5), read(2, 0.5)
    for one, two in zip(read(1, 0.5), again, strict=True):
        assert all(np.array_equal(one[name], two[name]) for name in one)
    assert any(
        one["tokens"].tolist() != two["tokens"].tolist() for one, two in zip(again, other, strict=True)
    )
    soft = np.concatenate([batch["targets"] for batch in again])
    np.testing.assert_allclose(soft.sum(axis=1), 1.0, atol=1e-6)
    assert ((soft > 0) & (soft < 1)).any(axis=1).sum() == 30
    assert np.array_equal(targets, np.tile(TARGETS, (12, 1))), "the reviews' own targets stay"


def test_a_part_of_what_is_learned_of_a_piece_is_its_reviews_label():
    many = [REVIEWS[4], REVIEWS[4], REVIEWS[1]] * 3
    targets = np.eye(2, dtype=np.float32)[[1, 1, 0] * 3]
    targets[1] = [1.0, 0.0]  # a review that says the opposite of the others
    taught = TaughtPieces(many, targets, VOCABULARY)
    (first, other), rows = taught.draw([0, 1], np.random.default_rng(1))
    of_teacher = (rows - OF_REVIEW * targets[:2]) / (1 - OF_REVIEW)
    expected = taught._teacher.probabilities([first, other])
    np.testing.assert_allclose(of_teacher, expected, atol=1e-6)
    assert expected[0, 1] > 0.5, "the teacher has read that superb is good"


def test_the_teacher_knows_labels_that_some_reviews_have():
    targets = np.eye(4, dtype=np.float32)[[3, 1, 3, 1, 3]]
    teacher = SentenceTeacher(Pieces(REVIEWS, VOCABULARY), targets, VOCABULARY)
    (found,) = teacher.probabilities([encode_words(VOCABULARY, ["awful"])])
    assert found[[0, 2]].tolist() == [0.0, 0.0]
    assert found.sum() == pytest.approx(1.0)
