"""The model that ships: it is whole, small, has its card, and has learned to spell."""

import pytest

from charlm.app import APP
from charlm.model.generate import generate
from charlm.model.scoring import Scorer
from shared.runs.presets import LARGEST_PRESET, preset_names

LINES = (
    "KING HENRY:\nGood morrow, my good lord; what news from France?\n"
    "How fares the queen, and where is my brother?\n"
)


@pytest.fixture(scope="module")
def model():
    return APP.load("shakespeare")


def test_it_ships_with_its_card():
    assert preset_names(APP.presets) == ["shakespeare"]
    folder = APP.presets / "shakespeare"
    assert sum(file.stat().st_size for file in folder.iterdir()) < LARGEST_PRESET
    card = (folder / "README.md").read_text(encoding="utf-8")
    for part in ("data", "command", "Validation", "Limits", "Licence"):
        assert part in card
    assert "@@" not in card


def test_lines_in_its_manner_cost_far_less_than_the_same_letters_in_disorder(model):
    lines = model.vocabulary.encode(LINES)
    scorer = Scorer(model)
    in_order, backwards = (scorer.windowed(ids).nats_per_character for ids in (lines, lines[::-1]))
    assert in_order < 2 < 3 < backwards


def test_it_writes_words_after_a_speaker(model):
    text = generate(model, "KING HENRY:\n", 200, temperature=0.5, seed=1)
    words = {word.strip(".,:;!?'").lower() for word in text.split()}
    assert (
        len(words & {"the", "and", "of", "to", "my", "that", "is", "in", "you", "i", "it", "a", "not"}) >= 3
    )
