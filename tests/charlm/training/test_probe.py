import keras
import numpy as np
import pytest

from charlm.model.char_lm import CharLM
from charlm.pages.reading import read
from charlm.training.probe import gradient_by_distance, make_probe, windows_of

TEXT = "hello, hole"


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    return CharLM("helo,", units=7, depth=2, embedding_size=5)


def test_the_probe_is_the_memory_of_a_page(model):
    ids = model.vocabulary.encode(TEXT)
    start = model.vocabulary.start
    norms = gradient_by_distance(model, np.array([[start, *ids]]))
    memory = read(model, ids, distances=len(ids)).memory[-1]
    np.testing.assert_allclose(norms, memory, rtol=1e-3, atol=1e-7)


def test_windows_are_spread_over_the_text():
    windows = windows_of(np.arange(100), 3, steps=10)
    assert windows.shape == (3, 11)
    assert windows[:, 0].tolist() == [0, 44, 89]
    assert windows[-1, -1] == 99
    assert windows_of(np.arange(5), 2).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_a_run_measures_the_mean_over_windows(model):
    ids = np.resize(model.vocabulary.encode(TEXT), 300)
    norms = make_probe(model, ids, count=2)()
    each = [gradient_by_distance(model, ids[first : first + 130][None]) for first in (0, 170)]
    np.testing.assert_allclose(norms, np.mean(each, axis=0), rtol=1e-3)
    assert len(norms) == 129
