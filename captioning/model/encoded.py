"""Reads encoded image files inside a graph, where one bad file does not fail the others.

TensorFlow's decoders end the whole call when a file is damaged, and a graph cannot catch that. So each file
is an element of a `tf.data` pipeline that leaves out the elements that fail.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from captioning.data.images import MAX_PIXELS

KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
PARALLEL = 4  # files decoded at once
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
        max_pixels: a file whose header declares more is not decoded.

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

    def read(index, file, kind, declared):
        declared = tf.cond(kind == KINDS.index("JPEG"), lambda: _jpeg_size(file), lambda: declared)
        frame = tf.cond(kind == KINDS.index("GIF"), lambda: _frame_size(file), lambda: declared)
        declared = tf.maximum(declared, frame)
        is_small = declared[0] <= max_pixels // tf.maximum(declared[1], 1)  # their product might overflow
        pixels = tf.cond(is_small, lambda: resize(decode(file)[None])[0], lambda: blank)
        return index, declared, is_small, tf.ensure_shape(pixels, blank.shape)

    files = tf.data.Dataset.from_tensor_slices((tf.range(tf.shape(encoded)[0]), encoded, kinds, sizes))
    files = files.filter(lambda index, file, kind, declared: kind < len(KINDS))
    index, sizes, is_small, pixels = _attempt(files, read, (0, tf.zeros((2,), tf.int64), True, blank))
    count = tf.shape(encoded)[0]
    is_decoded = tf.scatter_nd(index[:, None], tf.ones_like(index), count[None]) > 0
    is_large = tf.scatter_nd(index[:, None], tf.cast(~is_small, tf.int32), count[None]) > 0
    sizes = tf.scatter_nd(index[:, None], sizes, (count, 2))
    errors = _errors(encoded, kinds, sizes, is_decoded, is_large, max_pixels)
    return ReadFiles(tf.boolean_mask(pixels, is_small), errors)


def _attempt(files, function, blank):
    """The function's results for all elements of a dataset on which it does not fail, as one batch."""
    results = files.map(function, num_parallel_calls=PARALLEL, deterministic=True).ignore_errors()
    # A batch cannot be empty, so it ends with a blank element, which is cut off again.
    results = results.concatenate(tf.data.Dataset.from_tensors(blank))
    options = tf.data.Options()
    options.autotune.enabled = False
    batch = results.batch(tf.int64.max).with_options(options).get_single_element()
    return [part[:-1] for part in batch]


def decode(encoded):
    """One encoded file to pixels `(height, width, 3)` float32."""
    return tf.cond(
        tf.strings.substr(encoded, 0, 4) == b"\x89PNG",
        lambda: _decode_png(encoded),
        lambda: tf.cast(tf.io.decode_image(encoded, channels=3, expand_animations=False), tf.float32),
    )


def _decode_png(encoded):
    """A PNG on a white background."""
    # Asked for four channels, TensorFlow invents an opacity where a palette has none. So the file's own
    # channels are asked for: grey and opacity are two, RGB and opacity four.
    own = tf.io.decode_png(encoded)
    opacity = tf.where(tf.shape(own)[-1] % 2 == 0, tf.cast(own[..., -1:], tf.float32) / 255.0, 1.0)
    colours = tf.cast(tf.io.decode_png(encoded, channels=3), tf.float32)
    return tf.round(colours * opacity + 255.0 * (1.0 - opacity))


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


def _frame_size(file):
    """Width and height of a GIF's first frame, (2,) int64, which may exceed those in its header."""
    file = tf.cast(tf.io.decode_raw(file, tf.uint8), tf.int64)
    palette = tf.where(file[10] >= 128, 3 * 2 ** (file[10] % 8 + 1), 0)

    def skip(position, in_extension):
        # An extension is a mark, a label and blocks; a block is its length and so many bytes, the last one 0.
        is_over = in_extension & (file[position] == 0)
        step = tf.where(in_extension, file[position] + 1, 2)
        return position + step, ~is_over

    def is_before_frame(position, in_extension):
        return in_extension | (file[position] == ord("!"))

    position, _ = tf.while_loop(is_before_frame, skip, (13 + palette, tf.constant(False)))
    low, high = file[position + 5 : position + 9 : 2], file[position + 6 : position + 9 : 2]
    return tf.ensure_shape(low + 256 * high, (2,))


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
