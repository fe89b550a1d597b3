"""Pages 1, 4, 5, 7, 8, 10 and 12: short runs of networks that learn, and what the pages claim of them."""

import re

import numpy as np
import pytest

from lecture import negation, truncated
from lecture.recall import recall

pytestmark = pytest.mark.slow


def numbers(line):
    return [float(number) for number in re.findall(r"(?<![\w,])-?\d+\.?\d*(?:e[+-]?\d+)?(?![\w,])", line)]


def row(printed, name):
    """The numbers of the line that begins with a name."""
    (line,) = [line for line in printed.splitlines() if line.startswith(name)]
    return numbers(line.removeprefix(name))


def test_a_cnn_guesses_outside_its_field_and_an_rnn_does_not(run):
    printed, _ = run("convolution", "--quick")
    distances = numbers(printed.splitlines()[1])
    rows = {
        name: dict(zip(distances, numbers(line)[-len(distances) :], strict=True))
        for name in ("CNN", "RNN")
        for line in printed.splitlines()
        if line.startswith(f"{name} (")
    }
    for distance in distances:
        inside = distance < 15
        assert (rows["CNN"][distance] > 0.97) if inside else (rows["CNN"][distance] < 0.62)
        assert rows["RNN"][distance] > (0.97 if distance <= 40 else 0.9)


def test_a_carried_state_reaches_farther_than_the_gradient(run):
    printed, _ = run("truncated", "--quick")
    zeros, carried = row(printed, "from zeros"), row(printed, "carried on")
    assert max(zeros[0], carried[0]) < 0.65  # no gradient connects a question with its sign
    assert carried[1] > 0.95
    assert 0.55 < zeros[1] < 0.9


def test_the_stream_asks_for_the_sign_that_it_showed():
    stream = truncated.make_stream(3, 500)
    shown, asked, answers = np.moveaxis(stream, -1, 0)
    for row_shown, row_asked, row_answers in zip(shown, asked, answers, strict=True):
        signs, questions = np.flatnonzero(row_shown), np.flatnonzero(row_asked)
        assert len(signs) == len(questions) > 10
        assert set(questions - signs) <= set(range(truncated.GAPS[0], truncated.GAPS[1] + 1))
        assert ((row_shown[signs] > 0) == row_answers[questions]).all()


def test_gates_keep_the_gradient_alive(run):
    printed, picture = run("gates", "--quick")
    simple, gru, lstm = (
        row(printed, f"{name}, gradient after")[-1] for name in ("simple RNN", "GRU", "LSTM")
    )
    assert min(gru, lstm) > 100 * simple
    assert row(printed, "LSTM, gradient after")[-1] > 100 * row(printed, "LSTM, gradient before training")[-1]
    assert min(row(printed, "GRU, accuracy")) > 0.95
    assert picture.count(b"<path") == 3


def test_recall_marks_what_is_asked():
    inputs, answers = recall(np.random.default_rng(1), 50, 9, np.arange(50) % 9)
    assert (inputs[..., 1].sum(axis=1) == 1).all()
    marked = inputs[..., 0][inputs[..., 1] == 1]
    assert ((marked > 0) == answers[:, 0]).all()
    assert (np.argmax(inputs[..., 1], axis=1) == 8 - np.arange(50) % 9).all()


def test_sentences_are_read_word_by_word(run):
    printed, picture = run("sentences", "--quick")
    assert row(printed, "the music is superb .")[0] > 0.8
    assert row(printed, "the script is terrible .")[0] < 0.2
    assert picture.count(b"<path") == 2


def test_two_directions_and_two_layers_are_needed(run):
    printed, _ = run("negation", "--quick")
    kinds = {name: dict(zip(negation.KINDS, row(printed, name), strict=True)) for name in negation.NETWORKS}
    for name in ("1 layer, forwards", "2 layers, forwards"):
        assert kinds[name]["after"] + kinds[name]["none"] < 1.1  # one answer for both
    assert kinds["1 layer, both ways"]["after"] > kinds["2 layers, forwards"]["after"] + 0.4
    assert min(kinds["1 layer, both ways"].values()) < 0.6  # an exclusive or is not linear
    assert min(kinds["2 layers, both ways"].values()) > 0.95


def test_the_label_of_an_adjective_follows_its_negations():
    rng = np.random.default_rng(5)
    for _ in range(200):
        words, adjectives = negation.sentence(rng)
        assert len(words) <= negation.LENGTH
        for index, (praises, kind) in adjectives.items():
            is_good = words[index] in negation.GOOD
            before = {"not", "never"} & {*words[max(0, index - 2) : index]}
            rest = words[index + 1 :]
            after = "?" in rest[: rest.index(".")]
            assert (bool(before), after) == (kind in ("before", "both"), kind in ("after", "both"))
            assert praises == is_good ^ bool(before) ^ after


def test_a_character_model_improves_from_point_to_point(run, tmp_path):
    text = "The quick brown fox jumps over the lazy dog.\n" * 3000
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    printed, picture = run("shakespeare", "--quick", "--data", str(tmp_path / "text.txt"))
    bits = [float(number) for number in re.findall(r": ([\d.]+) bits a character", printed)]
    assert len(bits) == 4
    assert bits == sorted(bits, reverse=True)
    assert bits[0] > 7 > 1 > bits[-1]
    assert picture.count(b"<path") == 1


def test_captions_are_shown_with_their_confidence(run):
    pytest.importorskip("skimage")
    printed, picture = run("captions", "--quick", suffix=".png")
    lines = re.findall(r"^(\S+) +(success|failure)  (0\.\d\d)  (\w.*)$", printed, re.MULTILINE)
    assert len(lines) == 3
    assert ("chelsea.png", "success") in [line[:2] for line in lines]
    confidences = [float(line[2]) for line in lines]
    assert confidences == sorted(confidences, reverse=True)
    assert picture.startswith(b"\x89PNG")
