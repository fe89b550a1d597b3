"""How well a tracker tracks, and an animation of it."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from lecture.tracking.videos import Videos
from shared.system.files import write_atomic

TRUE, PREDICTED = "#009E73", "#D55E00"
SCALE = 6


class Score(NamedTuple):
    """Mean IoU on visible frames, and mean errors of the centre in pixels on visible and on hidden frames."""

    iou: float
    visible: float
    hidden: float


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes `(..., 4)`: left, top, right, bottom.

    Example:

    >>> float(iou(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2])).round(3))
    0.333
    """
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(np.clip(box[..., 2:] - box[..., :2], 0, None), axis=-1) for box in (a, b)]
    return common / (sum(areas) - common)


def score(boxes: np.ndarray, videos: Videos) -> Score:
    """The score of predicted boxes `(videos, steps, 4)`; NaN where no frame is hidden."""
    centres = [(box[..., :2] + box[..., 2:]) / 2 for box in (boxes, videos.boxes)]
    errors = np.linalg.norm(centres[0] - centres[1], axis=-1)
    visible = ~videos.hidden
    hidden = errors[videos.hidden].mean() if videos.hidden.any() else np.nan
    return Score(
        float(iou(boxes, videos.boxes)[visible].mean()), float(errors[visible].mean()), float(hidden)
    )


def save_animation(path: Path, videos: Videos, boxes: np.ndarray, shown: Sequence[int]) -> None:
    """Writes a GIF of some videos, one after the other: the true box green, the predicted one orange.

    Raises:
        FileError: the file cannot be written.
    """
    images = []
    for index in shown:
        for frame, *pair in zip(videos.frames[index], videos.boxes[index], boxes[index], strict=True):
            image = Image.fromarray(frame).resize(
                (frame.shape[1] * SCALE, frame.shape[0] * SCALE), Image.Resampling.NEAREST
            )
            pen = ImageDraw.Draw(image)
            for box, colour, margin in zip(pair, (TRUE, PREDICTED), (2, 0), strict=True):
                left, top, right, bottom = (float(value) * SCALE for value in box)
                corners = (left - margin, top - margin, max(left, right) + margin, max(top, bottom) + margin)
                pen.rectangle(corners, outline=colour, width=2)
            images.append(image.quantize(32))
    options = {"save_all": True, "append_images": images[1:], "duration": 150, "loop": 0, "optimize": True}
    write_atomic(path, lambda file: images[0].save(file, format="GIF", **options))
