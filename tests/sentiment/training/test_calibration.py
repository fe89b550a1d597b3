import numpy as np
import pytest

from sentiment.training.calibration import LEAST, MOST, fit_temperature


def drawn(examples: int = 503, labels: int = 3, sureness: float = 1.0, seed: int = 3):
    """Logits, and labels that are drawn from them by the softmax at temperature 1 / `sureness`."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2.0, size=(examples, labels))
    noise = random.gumbel(size=logits.shape)
    return logits, (sureness * logits + noise).argmax(axis=1)


def log_loss(logits, labels, temperature):
    logits = np.asarray(logits, dtype=np.float64) / temperature
    return float((np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("labels", [2, 3, 7])
@pytest.mark.parametrize("sureness", [0.3, 1.0, 1.7])
def test_no_other_temperature_is_better(labels, sureness):
    logits, right = drawn(labels=labels, sureness=sureness)
    found = fit_temperature(logits, right)
    grid = np.geomspace(LEAST, MOST, 4001)
    losses = [log_loss(logits, right, temperature) for temperature in grid]
    assert log_loss(logits, right, found) <= min(losses)
    assert found == pytest.approx(grid[np.argmin(losses)], rel=2e-3)
    assert LEAST < found < MOST


def test_it_finds_the_temperature_that_labels_were_drawn_at():
    logits, right = drawn(examples=20_011, sureness=0.4)
    assert fit_temperature(logits, right) == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("scale", [0.3, 3.0, 7.0])
def test_logits_that_are_larger_need_as_much_more(scale):
    logits, right = drawn()
    expected = scale * fit_temperature(logits, right)
    assert fit_temperature(scale * logits, right) == pytest.approx(expected, rel=1e-7)


def test_what_all_logits_of_an_example_share_does_not_matter():
    logits, right = drawn()
    shift = np.random.default_rng(5).normal(scale=1e4, size=(len(logits), 1))
    assert fit_temperature(logits + shift, right) == pytest.approx(fit_temperature(logits, right), rel=1e-6)


@pytest.mark.parametrize("seed", range(7))
def test_it_is_never_worse_than_none(seed):
    random = np.random.default_rng(seed)
    examples, labels = random.integers(1, 9), random.integers(2, 6)
    logits, right = random.normal(scale=3.0, size=(examples, labels)), random.integers(labels, size=examples)
    found = fit_temperature(logits, right)
    assert log_loss(logits, right, found) <= log_loss(logits, right, 1.0) + 1e-12


def test_float32_logits_of_a_network_are_taken():
    logits, right = drawn()
    found = fit_temperature(logits.astype(np.float32), right.astype(np.int32))
    assert isinstance(found, float)
    assert found == pytest.approx(fit_temperature(logits, right), rel=1e-5)


def test_logits_that_are_always_right_or_always_wrong_lead_to_a_bound():
    logits, _ = drawn()
    assert fit_temperature(logits, logits.argmax(axis=1)) == LEAST
    assert fit_temperature(logits, logits.argmin(axis=1)) == MOST
    assert fit_temperature([[30.0, 0.0]], [0]) == LEAST


def test_huge_logits_do_not_overflow():
    assert fit_temperature([[1e5, 0.0], [1e5, 0.0], [1e5, 0.0]], [0, 0, 1]) == MOST
    assert fit_temperature([[1e-9, 0.0], [1e-9, 0.0], [1e-9, 0.0]], [0, 0, 1]) == LEAST


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((0, 3)), []),
        (np.zeros((0, 0)), []),
        (np.ones((5, 3)), [0, 1, 2, 0, 1]),
        (np.ones((3, 1)), [0, 0, 0]),
        ([[1.0, np.nan], [0.0, 2.0]], [0, 1]),
        ([[1.0, np.inf], [0.0, 2.0]], [0, 1]),
        ([[1.0, -np.inf], [0.0, 2.0]], [0, 1]),
    ],
)
def test_logits_that_say_nothing_leave_the_temperature_at_1(logits, labels):
    assert fit_temperature(logits, labels) == 1.0


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([1.0, 2.0], [0, 1], "Expected logits"),
        (np.ones((3, 2)), [0, 1], "Expected logits"),
        (np.ones((3, 2)), [0, 1, 2], "from 0 to 2; the logits have 2 columns"),
        (np.ones((3, 2)), [0, 1, -1], "from -1 to 1"),
    ],
)
def test_what_does_not_fit_is_refused(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(logits, labels)
