import pytest
from PIL import Image


@pytest.fixture
def picture():
    """Writes a small image, making its folder."""

    def write(path, shade=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (7, 5), (shade, 99, 3)).save(path)

    return write


@pytest.fixture
def flickr(tmp_path, picture):
    """Five pictures in lists, one in none, one in the captions only, one in a list only."""
    for number, name in enumerate("abcdef"):
        picture(tmp_path / "pictures" / f"{name}.jpg", 40 * number)
    lines = [f"{name}.jpg#{number}\t{name} caption {number} ." for name in "abcdef" for number in range(2)]
    lines[3:3] = [
        "ghost.jpg.1#0\tNot there .",
        "ghost.jpg.1#1\tNot there either .",
        "no tab here",
        "a.jpg#9\t  ",
    ]
    (tmp_path / "Flickr8k.token.txt").write_text("\n".join(lines) + "\n\n")
    for split, names in {"train": "abc", "dev": "da", "test": "ex"}.items():
        (tmp_path / f"Flickr_8k.{split}Images.txt").write_text("".join(f"{name}.jpg\n" for name in names))
    return tmp_path
