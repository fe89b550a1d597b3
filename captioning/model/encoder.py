"""The encoder: photographs of any size to a grid of features, preprocessing included."""

import contextlib
import hashlib
from pathlib import Path

import keras
import numpy as np
from keras import ops

from captioning.data.images import resize
from captioning.model.backbones import EncoderError, blocks_of, build_backbone, find_backbone

# Part of every fingerprint: raise it when the same weights give other features.
PREPROCESSING = "squash, bicubic with antialias, rounded; 1"


@keras.saving.register_keras_serializable("unrolled")
class Encoder(keras.layers.Layer):
    """A convolutional network without its classifier, with its preprocessing.

    The layer squashes images to its own square size, scales the pixels as the network expects them, and
    gives the cells of the last feature map. Its config rebuilds it without any weights file; weights then
    load as in any other Keras layer. With `trainable = False` it runs in inference mode, in training too:
    batch norms keep their averages and nothing is dropped. With `fixed_norms` it does so while its weights
    are trained: the way to fine-tune, as small batches would spoil averages over ImageNet.

    Args:
        architecture: `efficientnet_lite0`, `efficientnet_lite1`, `efficientnet_lite2`, `small_cnn` (64 x 64
            pixels, to be trained from scratch) or a model of `keras.applications` by its class name, such as
            `ResNet50`; in capital or small letters.
        weights: `"imagenet"`, a weights file of the network (`.h5`, `.keras`, `.npz`, and `.pth` for
            EfficientNet-Lite; see `load_weights_file`), or None for random weights.
        image_size: side of the square in pixels, by default the network's own.
        fixed_norms: run the network in inference mode in training too.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        images: `(batch, height, width, 3)`, uint8 or float in [0, 255].
        training: whether batch norms use the batch's statistics; without effect on a frozen encoder and
            with `fixed_norms`.

    Returns:
        Features `(batch, rows * columns, channels)` float32, row by row.

    Attributes:
        architecture: the name in its original spelling.
        image_size: side of the square in pixels.
        grid: `(rows, columns)` of the feature map.
        channels: features in each cell.

    Raises:
        EncoderError: no such network, or not for this size.
        WeightsError: the weights are not available, or do not fit.

    Example:

    >>> encoder = Encoder("small_cnn", weights=None)
    >>> encoder.grid, encoder.channels
    ((8, 8), 128)
    >>> encoder(np.zeros((2, 48, 80, 3), "uint8")).shape.as_list()
    [2, 64, 128]
    """

    def __init__(
        self,
        architecture: str,
        weights: str | Path | None = "imagenet",
        image_size: int | None = None,
        fixed_norms: bool = False,
        **kwargs,
    ):
        # Pixels keep float32 until they are scaled, whatever the policy of the network.
        super().__init__(autocast=False, **kwargs)
        network = find_backbone(architecture)
        self.architecture = network.name
        self.image_size = image_size or network.image_size
        self.fixed_norms = fixed_norms
        self._preprocess = network.preprocess
        with _dtype_policy(self.dtype_policy):
            self.backbone = build_backbone(network, self.image_size, weights)
        self.backbone.trainable = self.trainable
        rows, columns, self.channels = self.backbone.output_shape[1:]
        if not rows * columns:
            raise EncoderError(
                f"{network.name} needs images larger than {self.image_size} pixels: its feature map would be "
                "empty."
            )
        self.grid = (rows, columns)
        self.built = True

    def call(self, images, training=False):
        x = ops.cast(images, "float32")
        if tuple(x.shape[1:3]) != (self.image_size, self.image_size):
            x = self.resize_in_graph(x)
        training = bool(training) and self.trainable and not self.fixed_norms
        grid = self.backbone(self._preprocess(x), training=training)
        cells = ops.reshape(
            grid, (-1, self.grid[0] * self.grid[1], self.channels)
        )  # (batch, cells, channels)
        return ops.cast(cells, "float32")

    def compute_output_spec(self, images, training=False):
        return keras.KerasTensor(
            (images.shape[0], self.grid[0] * self.grid[1], self.channels), dtype="float32"
        )

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resizes an image on the host, so that images of many sizes form a batch.

        Args:
            image: `(height, width, 3)` uint8.

        Returns:
            `(image_size, image_size, 3)` uint8: what the layer makes of `image`, to a grey level or two.
        """
        return resize(image, self.image_size)

    def resize_in_graph(self, images):
        """Resizes a batch `(batch, height, width, 3)` of floats in the graph, as `prepare` does on the host.

        Pixels are rounded as on the host, so no gradient passes to images of another size.
        """
        size = (self.image_size, self.image_size)
        resized = ops.image.resize(images, size, interpolation="bicubic", antialias=True)
        return ops.clip(ops.round(resized), 0.0, 255.0)  # bicubic overshoots at edges

    def train_last(self, blocks: int) -> None:
        """Trains the last blocks of the network only; the first ones cost most and gain least.

        Args:
            blocks: how many, see `captioning.model.backbones.blocks_of`; 0: all.

        Raises:
            EncoderError: the network has fewer blocks.
        """
        layers = blocks_of(self.backbone)
        if blocks > len(layers):
            raise EncoderError(
                f"{self.architecture} has {len(layers)} blocks, so its last {blocks} cannot be trained. "
                f"Give a number of 1 to {len(layers)}, or 0 for all."
            )
        for layer in [layer for block in layers[: len(layers) - blocks] for layer in block] if blocks else ():
            layer.trainable = False

    def fingerprint(self) -> str:
        """A short hash of all that the features depend on: network, size, preprocessing and weights."""
        digest = hashlib.sha256(f"{self.architecture} {self.image_size} {PREPROCESSING}".encode())
        for weight in self.backbone.weights:
            array = np.ascontiguousarray(weight.numpy())
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()[:32]

    def get_config(self):
        """The layer's arguments; the weights are saved beside them."""
        settings = {
            "architecture": self.architecture,
            "weights": None,
            "image_size": self.image_size,
            "fixed_norms": self.fixed_norms,
        }
        return {**super().get_config(), **settings}


@contextlib.contextmanager
def _dtype_policy(policy):
    """Layers made inside get this policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
