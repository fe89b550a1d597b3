"""Reads encoded image files inside a graph, where one bad file does not fail the others.

TensorFlow's decoders end the whole call when a file is damaged, and a graph cannot catch that. So each file
is an element of a `tf.data` pipeline that leaves out the elements that fail.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from captioning.config import MAX_PIXELS

KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
PARALLEL = 4  # files decoded at once, of at most `max_pixels` together
HEADER = 30  # bytes: enough for the size of all kinds but JPEG


class ReadFiles(NamedTuple):
    """The readable files of a batch, and what is wrong with the others.

    Attributes:
        pixels: (readable, size, size, 3) float32.
        errors: (images,) string, empty for readable files.
    """

    pixels: Any
    errors: Any


def read_files(encoded, resize: Callable, size: int, max_pixels: int = MAX_PIXELS) -> ReadFiles:
    """Decodes a batch of files.

    Args:
        encoded: (images,) string, the contents of JPEG, PNG, GIF, BMP or WebP files of any sizes.
        resize: takes pixels (1, height, width, 3) float32 and returns them as (1, size, size, 3).
        size: side of the square in pixels.
        max_pixels: a file whose header declares more is not decoded. Large files are decoded one after
            another, so that those in memory have no more pixels together either.

    Returns:
        `ReadFiles`.

    Example:

    >>> png = tf.io.encode_png(tf.zeros((3, 5, 3), tf.uint8))
    >>> files = tf.stack([png, b"text"])
    >>> pixels, errors = read_files(files, lambda image: tf.image.resize(image, (4, 4)), 4)
    >>> pixels.shape.as_list(), [error.decode()[:12] for error in errors.numpy()]
    ([1, 4, 4, 3], ['', 'not an image'])
    """
    head = tf.cast(tf.io.decode_raw(encoded, tf.uint8, fixed_length=HEADER), tf.int64)
    kinds = _kinds(head)
    sizes = _declared(head, kinds)
    blank = tf.zeros((size, size, 3))

    def measure(index, file, kind, declared):
        declared = tf.cond(kind == KINDS.index("JPEG"), lambda: _jpeg_size(file), lambda: declared)
        frame, file = tf.cond(
            kind == KINDS.index("GIF"), lambda: _first_frame(file), lambda: (declared, file)
        )
        return index, file, tf.maximum(declared, frame)

    def has_at_most(most):
        # The product of the sides might overflow.
        return lambda index, file, declared: declared[0] <= most // tf.maximum(declared[1], 1)

    def has_more_than(most):
        return lambda *element: ~has_at_most(most)(*element)

    def read(index, file, declared):
        return index, declared, True, tf.ensure_shape(resize(decode(file)[None])[0], blank.shape)

    def refuse(index, file, declared):
        return index, declared, False, blank

    files = tf.data.Dataset.from_tensor_slices((tf.range(tf.shape(encoded)[0]), encoded, kinds, sizes))
    files = files.filter(lambda index, file, kind, declared: kind < len(KINDS))
    files = files.map(measure).ignore_errors()
    small = files.filter(has_at_most(max_pixels // PARALLEL))
    large = files.filter(has_more_than(max_pixels // PARALLEL)).filter(has_at_most(max_pixels))
    too_large = files.filter(has_more_than(max_pixels))
    results = small.map(read, num_parallel_calls=PARALLEL, deterministic=True).ignore_errors()
    results = results.concatenate(large.map(read).ignore_errors()).concatenate(too_large.map(refuse))
    index, sizes, is_small, pixels = _batch(results, (0, tf.zeros((2,), tf.int64), True, blank))
    count = tf.shape(encoded)[0]
    order = tf.argsort(index)
    index, sizes, is_small, pixels = (tf.gather(part, order) for part in (index, sizes, is_small, pixels))
    is_decoded = tf.scatter_nd(index[:, None], tf.ones_like(index), count[None]) > 0
    is_large = tf.scatter_nd(index[:, None], tf.cast(~is_small, tf.int32), count[None]) > 0
    sizes = tf.scatter_nd(index[:, None], sizes, (count, 2))
    errors = _errors(encoded, kinds, sizes, is_decoded, is_large, max_pixels)
    return ReadFiles(tf.boolean_mask(pixels, is_small), errors)


def _batch(results, blank):
    """All elements of a dataset as one batch."""
    # A batch cannot be empty, so it ends with a blank element, which is cut off again.
    results = results.concatenate(tf.data.Dataset.from_tensors(blank))
    options = tf.data.Options()
    options.autotune.enabled = False
    batch = results.batch(tf.int64.max).with_options(options).get_single_element()
    return [part[:-1] for part in batch]


def decode(encoded):
    """One encoded file to pixels `(height, width, 3)` float32."""
    pixels = tf.cond(
        tf.strings.substr(encoded, 0, 4) == b"\x89PNG",
        lambda: _decode_png(encoded),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return tf.cast(pixels, tf.float32)


def _decode_png(encoded):
    """A PNG on a white background."""
    # Asked for four channels, TensorFlow invents an opacity where a palette has none. So the file's own
    # channels are asked for: grey and opacity are two, RGB and opacity four.
    own = tf.io.decode_png(encoded)
    colours = tf.io.decode_png(encoded, channels=3)

    def on_white():
        # Whole numbers take half the memory of floats; 127 rounds to the nearest.
        opacity = tf.cast(own[..., -1:], tf.uint16)
        mixed = tf.cast(colours, tf.uint16) * opacity + 255 * (255 - opacity)
        return tf.cast((mixed + 127) // 255, tf.uint8)

    return tf.cond(tf.shape(own)[-1] % 2 == 0, on_white, lambda: colours)


def _kinds(head):
    """Each file's index in `KINDS`, by its first bytes; `len(KINDS)` for any other: (images,) int32."""
    matches = [
        _begins(head, 0, opening) for opening in (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"RIFF")
    ]
    matches[-1] &= _begins(head, 8, b"WEBP")
    others = tf.ones_like(matches[0])
    return tf.argmax(tf.cast(tf.stack([*matches, others]), tf.int8), axis=0, output_type=tf.int32)


def _begins(head, position, expected):
    """Whether each header has the expected bytes at a position: (images,) bool."""
    return tf.reduce_all(head[:, position : position + len(expected)] == list(expected), axis=1)


def _declared(head, kinds):
    """Width and height by the headers, (images, 2) int64; 0 for JPEG, whose header has no fixed form."""

    def number(*positions):
        """The bytes at these positions, the lowest first, as a number: (images,) int64."""
        return sum(head[:, position] * 256**power for power, position in enumerate(positions))

    def signed(*positions):
        value = number(*positions)
        return tf.where(value < 2**31, value, 2**32 - value)

    bits = number(21, 22, 23, 24)
    sizes = (
        (_is(kinds, "PNG"), number(19, 18, 17, 16), number(23, 22, 21, 20)),
        (_is(kinds, "GIF"), number(6, 7), number(8, 9)),
        (_is(kinds, "BMP"), signed(18, 19, 20, 21), signed(22, 23, 24, 25)),  # stored from the top: negative
        (_is(kinds, "WEBP", head, b"VP8 "), number(26, 27) % 2**14, number(28, 29) % 2**14),
        (_is(kinds, "WEBP", head, b"VP8L"), bits % 2**14 + 1, bits // 2**14 % 2**14 + 1),
        (_is(kinds, "WEBP", head, b"VP8X"), number(24, 25, 26) + 1, number(27, 28, 29) + 1),
    )
    chosen = tf.zeros((tf.shape(head)[0], 2), tf.int64)
    for is_this, width, height in sizes:
        chosen = tf.where(is_this[:, None], tf.stack([width, height], axis=1), chosen)
    return chosen


def _is(kinds, kind, head=None, chunk=None):
    is_kind = kinds == KINDS.index(kind)
    return is_kind if chunk is None else is_kind & _begins(head, 12, chunk)


def _jpeg_size(file):
    """Width and height of a JPEG, (2,) int64; fails if its header is damaged."""
    return tf.cast(tf.io.extract_jpeg_shape(file), tf.int64)[1::-1]


def _first_frame(file):
    """Width and height of a GIF's first frame, (2,) int64, and the GIF without the other frames.

    The frame may be larger than the header says. TensorFlow would decode all frames to return the first.
    """
    data = tf.io.decode_raw(file, tf.uint8)

    def byte(position):
        return tf.cast(data[position], tf.int64)

    def palette(flags):
        return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)

    def skip(position, in_extension):
        # An extension is a mark, a label and blocks; a block is its length and so many bytes, the last one 0.
        is_over = in_extension & (data[position] == 0)
        step = tf.where(in_extension, byte(position) + 1, 2)
        return position + step, ~is_over

    def is_before_frame(position, in_extension):
        return in_extension | (data[position] == ord("!"))

    start = 13 + palette(byte(10))
    position, _ = tf.while_loop(is_before_frame, skip, (start, tf.constant(False)))
    sides = [byte(position + at) + 256 * byte(position + at + 1) for at in (5, 7)]
    # A frame is a mark, its place and size, flags, a palette, the size of its codes, and blocks.
    blocks = position + 11 + palette(byte(position + 9))
    end = tf.while_loop(lambda at: data[at] > 0, lambda at: (at + byte(at) + 1,), (blocks,))[0]
    first = tf.strings.substr(file, tf.constant(0, tf.int64), end + 1)
    return tf.stack(sides), first + b";"


def _errors(encoded, kinds, sizes, is_decoded, is_large, max_pixels):
    """What is wrong with each file, (images,) string."""
    names = tf.gather(tf.constant([*KINDS, ""]), kinds)
    width, height = tf.unstack(tf.strings.as_string(sizes), axis=1)
    large = tf.strings.join([
        "the image is too large: ", width, " x ", height,
        f" pixels; at most {max_pixels:,} pixels are accepted. Shrink it first.",
    ])  # fmt: skip
    errors = tf.where(is_large, large, "")
    errors = tf.where(
        is_decoded, errors, tf.strings.join(["the image is damaged or truncated (", names, ")."])
    )
    unknown = f"not an image, or not of a format that can be read ({', '.join(KINDS)})."
    errors = tf.where(kinds == len(KINDS), unknown, errors)
    return tf.where(tf.strings.length(encoded) == 0, "the file is empty (0 bytes).", errors)
