import itertools
import json
import re

import keras
import numpy as np
import pytest

import charlm.pages.page
from charlm.model.char_lm import CharLM
from charlm.pages.page import LONGEST, make_page, plan
from charlm.pages.weights import size_in_int8, to_int8, weights_of
from shared.system.cli import UserError
from shared.visual.pages import LARGEST


def make_model(cell="lstm", characters="helo ", **settings):
    keras.utils.set_random_seed(5)
    return CharLM(characters, cell=cell, **{"units": 9, "depth": 1, "embedding_size": 3, **settings})


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_a_page_has_the_text_and_all_models():
    models = {"runs/a": make_model(), "runs/b": make_model("gru"), "runs/c": make_model("simple")}
    counts = []
    page = make_page(models, "hello </script> hole", "somewhere", counts.append)
    data = data_of(page)
    assert "".join(token if len(token) == 1 else "" for token in data["tokens"]) == "hello  hole"
    assert [model["name"] for model in data["models"]] == ["a", "b", "c"]
    assert "</script> hole" not in page
    assert "http" not in page.partition("Content-Security-Policy")[2].partition("content=")[2]
    assert data["weights"]["characters"] == list("helo ")
    assert sum(counts) == 3 * len("hello </script> hole")


def test_models_of_one_name_keep_their_folders():
    page = make_page({"one/run": make_model(), "two/run": make_model()}, "hell", "somewhere")
    assert [model["name"] for model in data_of(page)["models"]] == ["one/run", "two/run"]


def test_a_page_without_an_lstm_says_why_it_does_not_write():
    page = make_page({"a": make_model("gru")}, "hell", "somewhere")
    assert data_of(page)["weights"] is None
    assert "this model is a GRU network" in page
    page = make_page({"a": make_model(units=1024)}, "hell", "somewhere")
    assert data_of(page)["weights"] is None
    assert "do not fit on a page" in page


def test_of_a_long_text_the_beginning_is_shown(monkeypatch):
    monkeypatch.setattr(charlm.pages.page, "LONGEST", 50)
    page = make_page({"a": make_model()}, "hello " * 500, "somewhere")
    assert len(data_of(page)["tokens"]) == 50
    assert "It has 3,000 characters; the first 50 are shown." in page


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_what_is_planned_fits(cell):
    model = make_model(cell, units=512, embedding_size=128)
    gates = {"lstm": 3, "gru": 2, "simple": 0}[cell]
    for tokens, count in itertools.product([1, 400, 2000, LONGEST], [1, 3, 9]):
        fits = plan([model] * count, tokens)
        each = 2 + count * (2 + 4 * fits.top + fits.distances) + (1 + gates) * fits.units
        size = fits.tokens * each + fits.writes * size_in_int8(model)
        assert size * 4 / 3 < LARGEST - 100_000
        assert fits.tokens == tokens or count == 9
        assert fits.writes == (cell == "lstm" and (count == 1 or tokens <= 2000))


def test_models_that_spell_the_text_differently_are_not_compared():
    with pytest.raises(UserError, match="all of them know"):
        make_page({"a": make_model(characters="h\u00f6"), "b": make_model()}, "h\u00f6", "somewhere")


def test_eight_bits_are_within_half_a_step():
    matrix = np.random.default_rng(2).normal(size=(11, 4)).astype(np.float32)
    matrix[:, 3] = 0
    scales, values = to_int8(matrix)
    assert values.dtype == np.int8
    assert (np.abs(values * scales - matrix) <= 0.5001 * scales).all()
    assert np.abs(values[:, :3]).max(axis=0).tolist() == [127, 127, 127]


def test_weights_of_other_cells_are_refused():
    with pytest.raises(ValueError, match="cell gru"):
        weights_of(make_model("gru"))
