"""Whether the memory is enough to train an encoder, before the training starts."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import keras

from captioning.training.batches import PIXELS_IN_MEMORY
from captioning.training.validation import VALIDATION_BATCH
from shared.layers.placement import gpu_is_visible
from shared.system.cli import UserError

# Fitted to the peak memory of training steps of EfficientNet-Lite2 (6, 14 and all blocks, 20 and 40 images):
# there the estimate is within 10 %; for ResNet50 it is up to 40 % too large.
BYTES_KEPT = 4 * 1.3  # for each number that a trained layer gives
BYTES_TRAINED = 4 * 4  # for each trained weight: its gradient, two means of Adam and the average
BYTES_AT_ONCE = 4  # for each number of the largest layer, which is not kept
BYTES_BESIDES = 400_000_000  # graphs and buffers of TensorFlow

MEMINFO = Path("/proc/meminfo")
STATM = Path("/proc/self/statm")
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_memory(captioner, batch_size: int, images: Sequence[int]) -> None:
    """Checks that there is enough memory to train the encoder of a captioner.

    Where a GPU trains it, or the memory is not known, nothing is checked.

    Args:
        captioner: some blocks of its encoder are trained.
        batch_size: images in a batch.
        images: how many there are for training, and for validation; their pixels stay in memory.

    Raises:
        UserError: there is not enough.
    """
    available = None if gpu_is_visible() else available_bytes()
    needed = step_bytes(captioner, batch_size)
    needed += sum(pixel_bytes(captioner.image_size, count) for count in images)
    if available is not None and needed > available:
        raise UserError(
            f"Training the encoder needs about {needed / 1e9:.1f} GB of memory, but only "
            f"{available / 1e9:.1f} GB are available: give fewer --encoder-blocks, a smaller --batch-size or "
            "a smaller --image-size."
        )


def step_bytes(captioner, batch_size: int) -> int:
    """About the largest number of bytes that a training step, or the validation between them, needs."""
    layers = captioner.encoder.backbone.layers
    sizes = [_numbers(layer) for layer in layers]  # of each image
    first = next((i for i, layer in enumerate(layers) if layer.trainable_variables), len(layers))
    training = sum(sizes[first:]) * BYTES_KEPT + max(sizes) * BYTES_AT_ONCE
    validation = VALIDATION_BATCH * max(sizes) * BYTES_AT_ONCE
    weights = sum(math.prod(variable.shape) for variable in captioner.trainable_variables) * BYTES_TRAINED
    return round(batch_size * max(training, validation)) + weights + BYTES_BESIDES


def pixel_bytes(image_size: int, images: int) -> int:
    """How many bytes of pixels stay in memory."""
    return min(images * image_size**2 * 3, PIXELS_IN_MEMORY)


def available_bytes() -> int | None:
    """The memory that this process can still get, in bytes; None where the system does not say."""
    limits = [limit for limit in (_free_on_machine(), _free_in_container()) if limit is not None]
    return min(limits, default=None)


def _numbers(layer) -> int:
    """How many numbers a layer gives for an image."""
    return sum(math.prod(output.shape[1:]) for output in keras.tree.flatten(layer.output))


def _free_on_machine() -> int | None:
    try:
        lines = MEMINFO.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _free_in_container() -> int | None:
    """The limit of the control group, less what this process has."""
    try:
        pages = int(STATM.read_text().split()[1])
        return int(CGROUP_LIMIT.read_text()) - pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # "max" is no limit
        return None
