"""What holds for all tests."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
# Rooms in which networks are trained or run, or graphs built again and again.
SLOW = {"conformance", "decoding", "end_to_end", "evaluation", "layers", "model", "prediction", "training"}


# What tests/attack tries: the same few examples in every run, or many new ones (`make attack`).
unhurried = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("test", max_examples=60, derandomize=True, **unhurried)
settings.register_profile("attack", max_examples=20_000, **unhurried)
settings.load_profile("test")


def pytest_configure():
    # Graphs are many objects that live long: looking for garbage less often saves a tenth of the time.
    gc.set_threshold(100_000, 20, 100)
    # Of several test processes each has a core of its own: more threads would only get in each other's way.
    if "PYTEST_XDIST_WORKER" in os.environ:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents and SLOW & set(item.path.relative_to(HERE).parts):
            item.add_marker(pytest.mark.slow)
    # Short files last, so that no process waits long for another.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
