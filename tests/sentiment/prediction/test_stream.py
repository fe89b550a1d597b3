from itertools import count, islice

import numpy as np
import pytest

from sentiment.prediction import stream
from sentiment.prediction.inputs import Item, from_arguments
from sentiment.prediction.stream import classify_texts
from sentiment.text.words import split_words


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 50])
def test_stream_keeps_order_and_batches(fake_model, batch_size):
    items = list(from_arguments(["good " * number for number in range(7)]))
    results = list(classify_texts(fake_model, iter(items), batch_size=batch_size))
    assert [result.item for result in results] == items
    found = [result.probabilities["positive"] for result in results]
    np.testing.assert_allclose(found, [1 - 0.5 ** (1 + number) for number in range(7)])
    assert [result.label for result in results] == [None, *["positive"] * 6]
    assert len(fake_model.batches) == -(-7 // batch_size)


def test_stream_takes_no_more_than_a_batch(fake_model):
    taken = []

    def endless():
        for number in count(1):
            taken.append(number)
            yield Item("", number, "good", {}, None)

    results = classify_texts(fake_model, endless(), batch_size=3)
    assert [result.item.line for result in islice(results, 4)] == [1, 2, 3, 4]
    assert len(taken) == 6


def test_stream_goes_on_after_errors(fake_model):
    bad = Item("x:2", 2, None, {}, "not JSON")
    items = [*from_arguments(["good"]), bad, bad, *from_arguments(["a film"])]
    results = list(classify_texts(fake_model, items, batch_size=2))
    assert [(result.label, result.item.error) for result in results] == [
        ("positive", None),
        (None, "not JSON"),
        (None, "not JSON"),
        ("negative", None),
    ]
    assert fake_model.batches == [1, 1]
    list(classify_texts(fake_model, [bad], batch_size=2))
    assert fake_model.batches == [1, 1]  # nothing to ask the model


def test_no_label_below_the_wanted_probability(fake_model):
    items = list(from_arguments(["film", "good", "good good"]))
    results = list(classify_texts(fake_model, items, abstain_below=0.75))
    assert [result.label for result in results] == [None, "positive", "positive"]
    assert results[0].reason == "negative is likeliest, but below 0.75"
    assert results[0].likeliest == "negative"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a good film", None),
        ("xyzzy good", None),
        ("good", None),
        ("", "no words"),
        (" \n\x00", "no words"),
        ("<br />&nbsp;", "no words"),
        ("?! ...", "no words, only symbols or unknown numbers"),
        ("\U0001f600", "no words, only symbols or unknown numbers"),
        ("\u0645\u0631\u062d\u0628\u0627", "the model knows none of the words"),
        ("xyzzy, plugh!", "the model knows none of the words"),
        ("a foo bar xyzzy plugh", "the model knows only 1 of 5 words"),
    ],
)
def test_a_text_with_too_few_known_words_has_no_label_unless_forced(fake_model, text, reason):
    (result,) = classify_texts(fake_model, from_arguments([text]), abstain_below=0.4)
    assert (result.reason, result.is_withheld, result.note) == (reason, reason is not None, None)
    assert result.label == (None if reason else result.likeliest)
    (forced,) = classify_texts(fake_model, from_arguments([text]), force=True)
    assert (forced.reason, forced.is_withheld, forced.note) == (None, False, reason)
    assert forced.label == forced.likeliest
    assert forced.probabilities == result.probabilities


def test_each_text_is_split_once_also_for_its_explanation(fake_model, monkeypatch):
    split, seen = [], []
    monkeypatch.setattr(stream, "split_words", lambda text: split.append(text) or split_words(text))

    class Explainer:
        def explain(self, text, label, words):
            seen.append((text, label, words))
            return words

        def deletion_curve(self, explanation):
            return explanation

    results = list(classify_texts(fake_model, from_arguments(["A good film", "!"]), explainer=Explainer()))
    assert split == ["A good film", "!"]
    assert seen == [("A good film", "positive", ["a", "good", "film"])]  # a withheld label is not explained
    assert [result.explanation for result in results] == [["a", "good", "film"], None]
