"""The signatures of an exported captioner: encoded files or pixels in, captions out."""

import tensorflow as tf


def caption_signatures(captioner, search: dict) -> dict:
    """The signatures of an exported captioner.

    `serving_default` takes `images`, a vector of encoded JPEG, PNG, GIF or BMP files of any sizes; `pixels`
    takes `images`, `(images, height, width, 3)` uint8; at least one image each. Both return `captions`,
    `log_probs` and `confidences`, each `(images, n_best)`.

    Files are decoded by TensorFlow, not by `load_image`. Both convert grey and CMYK to RGB, composite
    transparent parts of a PNG on white, and take the first frame of an animation. But TensorFlow

    - does not apply the EXIF orientation: a photograph that a camera stored on its side stays on its side;
    - leaves transparent parts of a GIF in the colour that the file has for them;
    - reads no TIFF, and WebP in newer versions only;
    - fails the call for all images where one file cannot be decoded.

    Callers who need more decode the files themselves and send `pixels`.

    Args:
        captioner: a `captioning.model.Captioner`.
        search: options of its beam search.
    """
    words = tf.constant(list(captioner.vocabulary.tokens))
    size = captioner.image_size

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
    """A PNG on a white background."""
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
