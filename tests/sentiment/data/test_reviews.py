"""What is printed of rows that were left out."""

import io

import pytest

from sentiment.data.reviews import print_problems
from shared.data.source import Problem


@pytest.mark.parametrize(("count", "shown"), [(0, 0), (1, 1), (5, 5), (1234, 5)])
def test_print_problems(count, shown):
    stream = io.StringIO()
    print_problems([Problem("x.csv", number + 1, "bad") for number in range(count)], stream)
    lines = [f"left out: x.csv:{number + 1}: bad" for number in range(shown)]
    assert stream.getvalue().splitlines() == ([*lines, f"rows left out: {count:,}"] if count else [])


# Datasets of tensorflow-datasets
