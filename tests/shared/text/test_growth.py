"""New tokens of a vocabulary, and the weights that they begin with."""

import numpy as np
import pytest

from shared.system.cli import UserError
from shared.text.growth import check_growth, grow, parts_of

KNOWN = {"dog": 0, "cafe": 1, "##s": 2, "ball": 3, '"': 4}


@pytest.mark.parametrize(
    ("token", "parts"),
    [
        ("Dog", ["dog"]),
        ("##dog", ["dog"]),
        ("s", ["##s"]),
        ("Café", ["cafe"]),
        ("\u201c", ['"']),
        ("dog-ball", ["dog", "ball"]),
        ("dog-cat", []),
        ("zebra", []),
    ],
)
def test_parts(token, parts):
    assert parts_of(token, KNOWN) == parts


@pytest.mark.parametrize("axis", [0, 1])
def test_rows_grow_from_their_parts_or_the_mean(axis):
    rows = np.random.default_rng(1).normal(size=(5, 200)).astype(np.float32)
    array = rows if axis == 0 else rows.T
    grown = grow(array, ["Dog", "dog-ball", "zebra", "yak"], KNOWN, np.random.default_rng(2), axis)
    grown = grown if axis == 0 else grown.T
    assert grown.dtype == np.float32
    np.testing.assert_array_equal(grown[:5], rows)
    means = np.stack([rows[0], rows[[0, 3]].mean(0), rows.mean(0), rows.mean(0)])
    noise = grown[5:] - means
    np.testing.assert_allclose(noise.std(1), 0.1 * np.sqrt((rows.std(0) ** 2).mean()), rtol=0.3)
    assert not np.array_equal(grown[7], grown[8])


def test_a_vocabulary_does_not_double():
    check_growth("photos", 10, 9)
    with pytest.raises(UserError, match="10 words or characters that photos lacks, and photos knows 10"):
        check_growth("photos", 10, 10)
