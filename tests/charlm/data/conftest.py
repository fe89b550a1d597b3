import pytest


@pytest.fixture
def mixed_text():
    """Characters of one to four bytes, and both kinds of line ends."""
    return "a\u00e9\u72ac\U0001f415\r\nb\u0301\u20ac\n\U00010348zz\u00df\ufeff"


@pytest.fixture
def mixed(tmp_path, mixed_text):
    """The same in a file."""
    path = tmp_path / "mixed.txt"
    path.write_bytes(mixed_text.encode())
    return path
