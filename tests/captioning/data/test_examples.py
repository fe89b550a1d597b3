"""An example loads its image; a hash of an image's id chooses its split."""

import numpy as np
import pytest

from captioning.data.examples import Example, LazyImage, hash_split
from captioning.data.images import ImageError


def test_example_loads_what_the_loader_takes(tmp_path):
    class Lazy(LazyImage):
        def read(self):
            return pixels

    pixels = np.arange(3 * 4 * 3, dtype=np.uint8).reshape(3, 4, 3)
    np.testing.assert_array_equal(Example("x", pixels, (), "train").load(), pixels)
    np.testing.assert_array_equal(Example("x", Lazy(), (), "train").load(), pixels)
    with pytest.raises(ImageError, match=r"^image seven: the file is empty"):
        Example("image seven", b"", (), "train").load()
    with pytest.raises(ImageError, match=f"^{tmp_path / 'x.jpg'}: no such file"):
        Example("x", tmp_path / "x.jpg", (), "train").load()


def test_hash_split_takes_a_tenth():
    share = np.mean([hash_split(f"{number}.jpg") == "validation" for number in range(20_000)])
    assert 0.09 < share < 0.11
