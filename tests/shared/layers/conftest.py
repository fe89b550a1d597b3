"""What tests of the fused loop and the stack share: two cores without a GPU, and the loops in a graph.

TensorFlow is imported where it is used: pytest reads this file in processes that run no test, too.
"""

import pytest


@pytest.fixture
def two_cores(monkeypatch):
    """Every machine that runs these tests has two cores to share out, and no GPU."""
    from shared.layers import placement

    monkeypatch.setattr(placement, "cores", lambda: 2)
    monkeypatch.setattr(placement, "gpu_is_visible", lambda: False)


@pytest.fixture
def count_loops():
    """A function that counts the loops over time in the graph of a call on inputs of a shape."""
    import tensorflow as tf

    def count(call, *shape):
        graph = tf.function(call, autograph=False).get_concrete_function(tf.TensorSpec(shape)).graph
        return sum("While" in operation.type for operation in graph.get_operations())

    return count
