"""Where the recurrence runs and in how many pieces; `test_fused` and `test_stack` show that layers follow."""

import pytest

from shared.layers import GRU, placement

pytestmark = pytest.mark.usefixtures("two_cores")


def test_keras_loop_is_forced_inside_only():
    layer = GRU(3)
    assert layer.is_fused()
    with placement.keras_loop():
        assert not layer.is_fused()
        with placement.keras_loop():
            assert not layer.is_fused()
        assert not layer.is_fused()
    assert layer.is_fused()
    with pytest.raises(RuntimeError), placement.keras_loop():
        raise RuntimeError
    assert layer.is_fused()


@pytest.mark.parametrize(("steps", "length"), [(40, 8), (41, 9), (44, 9), (45, 9), (97, 20)])
def test_staggered_parts_cover_the_sequence(steps, length):
    parts = placement.staggered_parts(steps, depth=2)
    assert len(parts) == 5
    assert [step for part in parts for step in range(steps)[part]] == list(range(steps))
    assert {len(range(steps)[part]) for part in parts[:-1]} == {length}


@pytest.mark.parametrize(("batch", "steps"), [(3, 1366), (2, 4097), (1, None), (None, 7), (2, 7)])
def test_chunks_cover_the_sequence(batch, steps):
    time = range(steps or 9)
    chunks = placement.chunks(batch, steps)
    assert [step for chunk in chunks for step in time[chunk]] == list(time)
    assert len(chunks) == (2 if steps in (1366, 4097) else 1)
