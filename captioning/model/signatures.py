"""The signatures of an exported captioner: encoded files or pixels in, captions out."""

import math

import tensorflow as tf

from captioning.config import MAX_PIXELS, Search
from captioning.model.constraints import constraints_in_graph
from captioning.model.encoded import read_files
from shared.export import concrete_function
from shared.text.tokens import GLUE


def caption_signatures(
    captioner, search: dict, abstain_below: float = 0.0, max_pixels: int = MAX_PIXELS
) -> dict:
    """The signatures of an exported captioner.

    `serving_default` takes `images`, a vector of encoded JPEG, PNG, GIF, BMP or WebP files of any sizes;
    `pixels` takes `images`, `(images, height, width, 3)` uint8. Both return `captions`, `log_probs` and
    `confidences`, each `(images, n_best)`, and `abstained`, `(images,)` bool: where the best caption's
    confidence is below `abstain_below`, the captions are empty strings. No images give empty answers.

    `constrained` takes `images` as `serving_default` does, and constraints, which replace those of `search`:
    `prefix`, a string that all captions begin with, `must`, a vector of words that all captions have, and
    `never`, a vector of words that none has. Each may be empty; case and punctuation do not count. If no
    caption can meet them, all `errors` say why.

    A file that cannot be read does not fail the others. The two say why in `errors`, `(images,)`, which is
    empty for readable files; the bad file's captions are empty strings with confidence 0. A file of
    more than `max_pixels` pixels is refused before it is decoded.

    Files are decoded by TensorFlow, not by `load_image`. Both convert grey and CMYK to RGB, composite
    transparent parts of a PNG on white, and take the first frame of an animation. But TensorFlow

    - does not apply the EXIF orientation: a photograph that a camera stored on its side stays on its side;
    - leaves transparent parts of a GIF in the colour that the file has for them;
    - reads no TIFF, and WebP in newer versions only.

    Callers who need more decode the files themselves and send `pixels`.

    Args:
        captioner: a `captioning.model.Captioner`.
        search: options of its beam search.
        abstain_below: the confidence below which captions are withheld.
        max_pixels: a file that declares more pixels is not decoded.
    """
    words = tf.constant(list(captioner.vocabulary.tokens))
    size = captioner.image_size
    options = Search(**search)

    def describe(pixels, tokens=None):
        count = tf.shape(pixels)[0]
        # A network does not run on no image: batch normalisation fails.
        pixels = tf.cond(count == 0, lambda: tf.zeros((1, size, size, 3), pixels.dtype), lambda: pixels)
        decoded = captioner.search(captioner.encoder(pixels, training=False), tokens=tokens, **search)
        lengths = tf.cast(tf.maximum(decoded.lengths, 1), tf.float32)
        confidences = tf.exp(decoded.log_probs / lengths)
        if calibration := captioner.calibration:
            confidences = tf.sigmoid(calibration.slope * tf.math.log(confidences) + calibration.intercept)
        captions = _write(tf.gather(words, decoded.tokens), decoded.tokens, captioner.vocabulary)
        abstained = confidences[:, 0] < abstain_below
        outputs = {
            "captions": tf.where(abstained[:, None], "", captions),
            "log_probs": decoded.log_probs,
            "confidences": confidences,
            "abstained": abstained,
        }
        return {name: output[:count] for name, output in outputs.items()}

    def serving_default(images):
        files = read_files(images, captioner.encoder.resize_in_graph, size, max_pixels)
        return _spread(describe(files.pixels), files.errors) | {"errors": files.errors}

    def constrained(images, prefix, must, never):
        files = read_files(images, captioner.encoder.resize_in_graph, size, max_pixels)
        tokens, problem = constraints_in_graph(
            must, never, prefix, captioner.vocabulary, options.max_length, options.open_endings
        )
        is_possible = problem == ""
        errors = tf.where(is_possible, files.errors, problem)
        pixels = tf.cond(is_possible, lambda: files.pixels, lambda: files.pixels[:0])
        return _spread(describe(pixels, tokens), errors) | {"errors": errors}

    def pixels(images):
        return describe(tf.cast(images, tf.float32))

    return {
        "serving_default": concrete_function(serving_default, images=((None,), tf.string)),
        "constrained": concrete_function(
            constrained,
            images=((None,), tf.string),
            prefix=((), tf.string),
            must=((None,), tf.string),
            never=((None,), tf.string),
        ),
        "pixels": concrete_function(pixels, images=((None, None, None, 3), tf.uint8)),
    }


def _spread(outputs, errors):
    """The outputs of the readable images (readable, n_best), each in its row among all (images, n_best)."""
    is_readable = errors == ""
    blanks = {"captions": "", "log_probs": -math.inf, "confidences": 0.0, "abstained": False}
    # One row more than there are results, which bad images share.
    rows = tf.where(
        is_readable, tf.cumsum(tf.cast(is_readable, tf.int32)) - 1, tf.shape(outputs["captions"])[0]
    )
    return {
        name: tf.gather(
            tf.pad(outputs[name], [[0, 1], [0, 0]][: outputs[name].shape.rank], constant_values=blank), rows
        )
        for name, blank in blanks.items()
    }


def _write(words, tokens, vocabulary):
    """Words `(images, n_best, time)` to sentences `(images, n_best)`, without the special tokens."""
    special = (tokens == vocabulary.PAD) | (tokens == vocabulary.START) | (tokens == vocabulary.END)
    joined = tf.strings.reduce_join(tf.where(special, "", words), axis=-1, separator=" ")
    joined = tf.strings.regex_replace(tf.strings.strip(joined), f" {GLUE}", "")
    return tf.strings.regex_replace(joined, f"^{GLUE}", "")
