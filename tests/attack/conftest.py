"""Attacks: short in `make test`, long by `make attack`, which gives the option --attack."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for `training.py`, which the tests of runs share


def pytest_addoption(parser):
    parser.addoption("--attack", action="store_true", help="attack for many minutes instead of seconds")


@pytest.fixture(scope="session")
def long(request) -> bool:
    """Whether this is `make attack`."""
    return request.config.getoption("--attack", default=False)
