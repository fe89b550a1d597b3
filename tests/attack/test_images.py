"""Images from strangers: a bomb is refused before it is decoded, damage is never more than an ImageError."""

import io
import random
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from captioning.data import images
from captioning.data.images import FORMATS, ImageError, load_image

SIDE = 12_000  # of a bomb: 144 million pixels


def encoded(form, size=(21, 13), mode="RGB", **options):
    channels = len(Image.new(mode, (1, 1)).getbands())
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], channels), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise if channels > 1 else noise[..., 0], mode).save(stream, form, **options)
    return stream.getvalue()


def replaced(file, position, form, *values):
    part = struct.pack(form, *values)
    return file[:position] + part + file[position + len(part) :]


def png_bomb(side):
    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(99_999))) + chunk(b"IEND", b"")


def webp_bomb(side):
    return replaced(encoded("WEBP", lossless=True), 21, "<I", side - 1 | side - 1 << 14)


def wide_webp_bomb(side):
    file = encoded("WEBP", mode="RGBA", lossless=True, exif=b"Exif\0\0II*\0")
    assert file[12:16] == b"VP8X"
    return replaced(file, 24, "<HBHB", side - 1, 0, side - 1, 0)


def gif_bomb(side):
    file = encoded("GIF")
    return replaced(file, file.index(b",\0\0\0\0\x15\0\x0d\0") + 5, "<HH", side, side)


def tiff_bomb(side):
    """An image of 16 x 16 pixels in a tile of `side` x `side`."""
    data = zlib.compress(bytes(999))
    tags = {256: 16, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 134, 325: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + data


def avif_bomb(side):
    file = encoded("AVIF")
    return replaced(file, file.index(b"ispe") + 8, ">II", side, side)


BOMBS = {
    "BMP": lambda side: replaced(encoded("BMP"), 18, "<ii", side, -side),
    "JPEG": lambda side: replaced(encoded("JPEG"), encoded("JPEG").index(b"\xff\xc0") + 5, ">HH", side, side),
    "PNG": png_bomb,
    "WEBP": webp_bomb,
    "VP8X": wide_webp_bomb,
    "GIF": gif_bomb,
    "TIFF": tiff_bomb,
    "AVIF": avif_bomb,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_never_decoded(kind, monkeypatch):
    def fail(*args):
        raise AssertionError("decoded")

    monkeypatch.setattr(images, "_pixels", fail)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    if kind in ("WEBP", "VP8X"):  # opening one allocates its pixels
        monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ImageError, match=f"too large: {SIDE} x {SIDE} pixels; at most 50,000,000"):
        load_image(BOMBS[kind](SIDE))


READ_MANY = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from captioning.data import images
from captioning.data.budget import ByteBudget

folder, images._BUDGET = Path(sys.argv[1]), ByteBudget(int(sys.argv[2]))
files = sorted(folder.iterdir())

def read(file):
    try:
        images.load_image(file, size=8)
    except images.ImageError as error:
        assert "too large" in str(error), error
        return 0
    return 1

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with ThreadPoolExecutor(4) as pool:
    count = sum(pool.map(read, files * 2))
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def read_many(folder, budget):
    """How many images four threads could read, and by how many bytes memory grew."""
    command = [sys.executable, "-c", READ_MANY, str(folder), str(budget)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return tuple(map(int, done.stdout.split()))


def test_bombs_take_no_memory(tmp_path):
    for kind, bomb in BOMBS.items():
        (tmp_path / kind).write_bytes(bomb(SIDE))
    count, memory = read_many(tmp_path, images.MOST_BYTES)
    assert count == 0
    assert memory < 20e6


def test_threads_together_stay_within_their_budget(tmp_path):
    side = 3_500
    for kind in ("WEBP", "PNG"):
        Image.new("RGBA", (side, side), "red").save(tmp_path / kind, kind)
    one = side * side * 32
    count, memory = read_many(tmp_path, one)
    assert count == 4
    assert memory < 1.2 * one  # without a budget: nearly twice as much


MODES = {
    "JPEG": ("L", "RGB", "CMYK"),
    "PNG": ("L", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("L", "RGB"),
    "BMP": ("L", "RGB"),
    "TIFF": ("L", "RGB", "RGBA", "CMYK"),
    "AVIF": ("RGB", "RGBA"),
}
GOOD = [encoded(kind, mode=mode) for kind, modes in MODES.items() for mode in modes]
GOOD += [encoded("TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")]
GOOD += [encoded("JPEG", progressive=True), encoded("WEBP", lossless=True)]


def test_the_files_to_mutate_are_good():
    assert set(MODES) >= set(FORMATS)
    assert {load_image(file).shape for file in GOOD} == {(13, 21, 3)}


def mutated(file, source):
    """A good file with bytes changed, cut out, doubled, or cut off."""
    file = bytearray(file)
    for _ in range(source.randint(1, 8)):
        at = source.randrange(source.choice((64, len(file))) or 1)  # headers get half of it
        length = source.choice((1, 1, 2, 4, 16))
        value = source.choice((bytes(length), b"\xff" * length, source.randbytes(length)))
        kind = source.randrange(8)
        if kind < 5:
            file[at : at + length] = value
        elif kind == 5:
            del file[at : at + length]
        elif kind == 6:
            file[at:at] = file[at : at + 16 * length]
        else:
            del file[at + 1 :]
    return bytes(file)


@given(st.sampled_from(range(len(GOOD))), st.integers(0, 2**63))
def test_a_mutated_image_is_read_or_refused_in_one_sentence(index, seed):
    file = mutated(GOOD[index], random.Random(seed))
    try:
        pixels = load_image(file, name="x.png", max_pixels=10**6)
    except ImageError as error:
        message = str(error)
        assert message.startswith("x.png: ")
        assert "\n" not in message
        assert message.isprintable()
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
