"""What an exported captioner answers to, and the proof that it answers as the Python model does."""

import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from shared.export import ExportError, call_alone


def caption_signatures(captioner, search: dict) -> dict:
    """The signatures of an exported captioner.

    `serving_default` takes `images`, a vector of encoded JPEG, PNG, GIF or BMP files of any sizes; `pixels`
    takes `images`, `(images, height, width, 3)` uint8. There must be one at least. Both return
    `captions`, `log_probs` and `confidences`, each `(images, n_best)`.

    Files are decoded by TensorFlow, not by `load_image`. As there, grey and CMYK become
    RGB, transparent parts of a PNG are laid on white, and of an animation the first frame counts. Unlike
    there,

    - EXIF orientation is not applied: a photograph that a camera stored on its side is seen on its side;
    - transparent parts of a GIF keep the colour that the file has for them;
    - TIFF is not read, WebP by newer versions of TensorFlow only;
    - one file that cannot be decoded fails the call for all.

    Callers who need better decode themselves and send `pixels`.
    """
    words = tf.constant(list(captioner.vocabulary.tokens))
    size = captioner.encoder.image_size

    def describe(pixels):
        decoded = captioner.search(captioner.encoder(pixels, training=False), **search)
        lengths = tf.cast(tf.maximum(decoded.lengths, 1), tf.float32)
        return {
            "captions": _write(tf.gather(words, decoded.tokens), decoded.tokens, captioner.vocabulary),
            "log_probs": decoded.log_probs,
            "confidences": tf.exp(decoded.log_probs / lengths),
        }

    def read(encoded):
        return captioner.encoder.resize_in_graph(_decode(encoded)[None])[0]

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="images")], autograph=False)
    def serving_default(images):
        spec = tf.TensorSpec((size, size, 3), tf.float32)
        return describe(tf.map_fn(read, images, fn_output_signature=spec))

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")], autograph=False
    )
    def pixels(images):
        return describe(tf.cast(images, tf.float32))

    return {
        "serving_default": serving_default.get_concrete_function(),
        "pixels": pixels.get_concrete_function(),
    }


def _decode(encoded):
    """One encoded file to pixels `(height, width, 3)` float32."""
    return tf.cond(
        tf.strings.substr(encoded, 0, 4) == b"\x89PNG",
        lambda: _decode_png(encoded),
        lambda: tf.cast(tf.io.decode_image(encoded, channels=3, expand_animations=False), tf.float32),
    )


def _decode_png(encoded):
    """A PNG laid on white."""
    # Asked for four channels, TensorFlow invents an opacity where a palette has none. So the file's own
    # channels are asked for: grey and opacity are two, RGB and opacity four.
    own = tf.io.decode_png(encoded)
    opacity = tf.where(tf.shape(own)[-1] % 2 == 0, tf.cast(own[..., -1:], tf.float32) / 255.0, 1.0)
    colours = tf.cast(tf.io.decode_png(encoded, channels=3), tf.float32)
    return tf.round(colours * opacity + 255.0 * (1.0 - opacity))


def _write(words, tokens, vocabulary):
    """Words `(images, n_best, time)` to sentences `(images, n_best)`, without the special tokens."""
    special = (tokens == vocabulary.PAD) | (tokens == vocabulary.START) | (tokens == vocabulary.END)
    joined = tf.strings.reduce_join(tf.where(special, "", words), axis=-1, separator=" ")
    return tf.strings.strip(joined)


def check_export(folder: Path, captioner, search: dict) -> None:
    """Compares the SavedModel, in a process of its own, with the captioner on pictures made for it.

    Raises:
        ExportError: a caption or its log-probability differs.
    """
    images = _test_images(captioner.encoder.image_size)
    expected = captioner.caption(images, **search)
    encoded = np.array([_png(image) for image in images], dtype=object)
    answers = call_alone(folder, {"pixels": {"images": images}, "serving_default": {"images": encoded}})
    for signature, outputs in answers.items():
        for row, captions in enumerate(expected):
            for rank, caption in enumerate(captions):
                text = outputs["captions"][row, rank].decode("utf-8")
                log_prob = float(outputs["log_probs"][row, rank])
                if text != caption.text or abs(log_prob - caption.log_prob) > 1e-3:
                    raise ExportError(
                        f"The SavedModel's {signature} says {text!r} ({log_prob:.4f}) where the Python model "
                        f"says {caption.text!r} ({caption.log_prob:.4f}). Nothing was written."
                    )


def _test_images(size: int) -> np.ndarray:
    """Three smooth random pictures `(3, size, size, 3)`: any picture serves, as only equality is asked."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in noise]
    )


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
