"""The convolutional networks that can be an encoder: by name, with preprocessing and weights."""

import difflib
import itertools
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops

from captioning.model import efficientnet_lite as lite
from captioning.model.pth import WeightsError
from shared.runs.hdf5 import load_hdf5_weights
from shared.system.cli import UserError

SMALL_CNN = "small_cnn"
SMALL_CNN_SIZE = 64

# Sides in pixels of the images that the `imagenet` weights were trained on; all others: 224.
_IMAGE_SIZES = {
    "Xception": 299,
    "InceptionV3": 299,
    "InceptionResNetV2": 299,
    "NASNetLarge": 331,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
}


class EncoderError(UserError):
    """An encoder cannot be built with these settings."""


class Backbone(NamedTuple):
    """A network by name.

    Attributes:
        name: its name in the original spelling.
        image_size: side of its native input in pixels.
        build: from an image size to a functional model with random weights, from `(batch, size, size, 3)`
            preprocessed pixels to `(batch, rows, columns, channels)`.
        preprocess: from float pixels in [0, 255] to what the model expects.
        load_imagenet: loads the published weights into such a model, or raises `WeightsError`.
    """

    name: str
    image_size: int
    build: Callable[[int], keras.Model]
    preprocess: Callable
    load_imagenet: Callable[[keras.Model], None]


def backbone_names() -> list[str]:
    """All names that `find_backbone` knows."""
    return [f"efficientnet_lite{variant}" for variant in range(len(lite.VARIANTS))] + [
        SMALL_CNN,
        *_applications(),
    ]


def find_backbone(name: str) -> Backbone:
    """The network of that name; upper and lower case do not matter.

    Args:
        name: `efficientnet_lite0`, `efficientnet_lite1`, `efficientnet_lite2`, `small_cnn`, or a class name
            of `keras.applications` such as `ResNet50`.

    Raises:
        EncoderError: there is none.

    Example:

    >>> find_backbone("resnet50").name
    'ResNet50'
    """
    known = {known.lower(): known for known in backbone_names()}
    if name.lower() not in known:
        close = [known[match] for match in difflib.get_close_matches(name.lower(), known, n=3)]
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise EncoderError(
            f"There is no encoder {name!r}.{hint} Choose efficientnet_lite0, efficientnet_lite1, "
            "efficientnet_lite2, small_cnn, or a model of keras.applications such as ResNet50 or MobileNetV2."
        )
    name = known[name.lower()]
    if name == SMALL_CNN:
        return Backbone(name, SMALL_CNN_SIZE, small_cnn, lambda x: x / 127.5 - 1.0, _no_imagenet)
    if name in _applications():
        return _application(name)
    return _lite(int(name[-1]))


def build_backbone(backbone: Backbone, image_size: int, weights: str | Path | None) -> keras.Model:
    """The model of a backbone with weights: `"imagenet"`, a weights file, or None for random ones.

    Raises:
        EncoderError: the network does not work on images of this size.
        WeightsError: the weights are not available, or do not fit.
    """
    try:
        model = backbone.build(image_size)
    except ValueError as error:
        raise EncoderError(
            f"{backbone.name} cannot read images of {image_size} x {image_size} pixels: {error}"
        ) from error
    if weights is None:
        return model
    if str(weights).lower() == "imagenet":
        backbone.load_imagenet(model)
    else:
        load_weights_file(model, Path(weights), backbone.name)
    return model


def blocks_of(model: keras.Model) -> list[list[keras.layers.Layer]]:
    """The layers of a network that have weights, block by block in their order.

    Layer names say where a block begins: `block3_expand` and `block3_project` of EfficientNet-Lite belong to
    one block, as do `conv5_block2_1_conv` and `conv5_block2_2_conv` of ResNet. A layer whose name has no
    block, such as `stem`, is a block by itself.
    """
    named = [(_block_name(layer.name), layer) for layer in model.layers if layer.weights]
    return [[layer for _, layer in block] for _, block in itertools.groupby(named, key=lambda pair: pair[0])]


def _block_name(layer_name: str) -> str:
    match = re.match(r".*?block_?\d+[a-z]?(?![a-z0-9])", layer_name)
    return match.group() if match else layer_name


def load_weights_file(model: keras.Model, path: Path, name: str) -> None:
    """Loads the weights of a backbone from a file.

    Args:
        model: the backbone.
        path: `.weights.h5`, `.h5` or `.keras` as Keras writes them, `.npz` with one array for each of the
            model's weights under its Keras path (`conv1_conv/kernel`), or `.pth` of an EfficientNet-Lite.
        name: the backbone's name, for messages.

    Raises:
        WeightsError: the file is missing, not readable, or the weights of another network.
    """
    if not path.is_file():
        raise WeightsError(
            f"There is no weights file {path}. Expected imagenet, none, or a .h5, .keras, .npz or .pth file."
        )
    readers = {".npz": _load_npz, ".pth": _load_pth, ".h5": load_hdf5_weights, ".keras": load_hdf5_weights}
    if path.suffix not in readers:
        raise WeightsError(
            f"{path} is not a weights file: expected a name that ends in .h5, .keras, .npz or .pth."
        )
    try:
        readers[path.suffix](model, path)
    except WeightsError:
        raise
    except Exception as error:  # Keras, h5py and NumPy raise errors of many types on a wrong or damaged file
        reason = str(error).strip().partition("\n")[0][:300]
        raise WeightsError(
            f"{path} does not hold the weights of {name} without its classifier ({reason}). "
            "Name the file of this network, or the encoder that the file belongs to."
        ) from error


def small_cnn(image_size: int) -> keras.Model:
    """A small network to be trained from scratch on simple pictures.

    Its grid has an eighth of the input's side and 128 channels. Two channels with each cell's position, from
    -1 to 1, enter before the last convolution (Liu et al. 2018, "CoordConv",
    https://arxiv.org/abs/1807.03247), so that captions can distinguish left from right and top from bottom.
    """
    inputs = keras.Input((image_size, image_size, 3), name="pixels")
    x = inputs
    for index, channels in enumerate((32, 64, 96)):
        x = _conv_norm_relu(x, channels, 2, f"down{index}")
    x = CellPlaces(name="places")(x)
    x = _conv_norm_relu(x, 128, 1, "mix")
    return keras.Model(inputs, x, name=SMALL_CNN)


class CellPlaces(layers.Layer):
    """Appends two channels to a grid: each cell's row and column, from -1 (top, left) to 1 (bottom, right).

    Example:

    >>> import numpy as np
    >>> CellPlaces()(np.zeros((1, 3, 2, 4)))[0, :, 1, 4:].numpy().tolist()
    [[-1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]
    """

    def call(self, inputs):
        rows, columns = inputs.shape[1:3]
        positions = np.stack(
            np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij"), axis=-1
        )
        positions = ops.convert_to_tensor(positions[None], dtype=self.compute_dtype)  # (1, rows, columns, 2)
        return ops.concatenate([inputs, ops.tile(positions, (ops.shape(inputs)[0], 1, 1, 1))], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 2)


def _conv_norm_relu(x, channels, stride, name):
    x = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False, name=name)(x)
    # Short trainings: the running averages must follow within some dozens of steps.
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _no_imagenet(model):
    raise WeightsError(
        "small_cnn has no ImageNet weights. Give none to train it from scratch, or a weights file."
    )


def _lite(variant: int) -> Backbone:
    return Backbone(
        f"efficientnet_lite{variant}",
        lite.VARIANTS[variant].image_size,
        lambda image_size: lite.efficientnet_lite(variant, image_size=image_size),
        lite.preprocess,
        lambda model: lite.load_weights(model, lite.imagenet_file(variant)),
    )


def _applications() -> dict[str, Callable]:
    """The model functions of `keras.applications`."""
    return {
        name: value
        for name, value in vars(keras.applications).items()
        if name[0].isupper() and callable(value)
    }


def _application(name: str) -> Backbone:
    function = _applications()[name]
    family = getattr(keras.applications, function.__module__.rpartition(".")[2])
    build = partial(_build_application, function)
    return Backbone(
        name,
        _IMAGE_SIZES.get(name, 224),
        build,
        family.preprocess_input,
        partial(_download_imagenet, name, build),
    )


def _build_application(function, image_size, weights=None):
    return function(include_top=False, weights=weights, input_shape=(image_size, image_size, 3))


def _download_imagenet(name, build, model):
    try:
        loaded = build(model.input_shape[1], weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception where the download fails
        raise WeightsError(
            f"The ImageNet weights of {name} could not be downloaded ({error}). Check the connection, or "
            "download the file by other means and give its path as the weights; efficientnet_lite0 to 2 need "
            "no download."
        ) from error
    model.set_weights(loaded.get_weights())


def _load_pth(model, path):
    if not model.name.startswith("efficientnet_lite"):
        raise WeightsError(
            f"{path}: .pth files are read for efficientnet_lite0 to 2 only, not for {model.name}."
        )
    lite.load_weights(model, path)


def _load_npz(model, path):
    with np.load(path, allow_pickle=False) as arrays:
        values = [arrays[weight.path] for weight in model.weights]
    model.set_weights(values)
