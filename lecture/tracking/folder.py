"""Videos of your own: a folder of frames for each, and a table of boxes."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from captioning.data.find import find_images
from captioning.data.images import load_image
from lecture.tracking.videos import HEIGHT, STEPS, WIDTH, Videos, mark
from shared.data.source import DataError, Problem
from shared.data.tables import Columns, read_table

TABLE = "boxes.csv"
COLUMNS = ("video", "frame", "left", "top", "right", "bottom")


def natural(name: str) -> list:
    """The key for an order in which frame 10 follows frame 9.

    Example:

    >>> sorted(["frame10.png", "frame9.png"], key=natural)
    ['frame9.png', 'frame10.png']
    """
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def read_folder(folder: Path, steps: int = STEPS) -> Videos:
    """Reads the first frames of each video, squeezed to the size of the network.

    `boxes.csv` has a row for each frame, `video,frame,left,top,right,bottom`: the folder, the file, and the
    box in pixels of the file. A column `hidden` may say 1 where the target is out of sight. The box of the
    first frame is painted red, which tells the network what to follow.

    Args:
        folder: holds `boxes.csv` and a folder of PNG or JPG frames for each video.
        steps: frames of a video that are read; they are put in natural order.

    Raises:
        UserError: the table or an image cannot be read, a video has too few frames, or a frame has no box.
    """
    rows = _read_table(folder / TABLE)
    names = sorted({video for video, _ in rows}, key=natural)
    if len(names) < 2:
        raise DataError(
            f"{folder / TABLE} names {len(names)} videos. Expected at least two: one is for the test."
        )
    videos = Videos(
        np.empty((len(names), steps, HEIGHT, WIDTH, 3), np.uint8),
        np.empty((len(names), steps, 4), np.float32),
        np.zeros((len(names), steps), bool),
    )
    for index, name in enumerate(names):
        files = sorted(find_images([folder / name]), key=lambda file: natural(file.name))[:steps]
        if len(files) < steps:
            raise DataError(
                f"{folder / name} has {len(files)} frames. Expected at least {steps}; see --steps."
            )
        for step, file in enumerate(files):
            if (name, file.name) not in rows:
                raise DataError(
                    f"{folder / TABLE} has no box for {name}/{file.name}. Expected one for each frame."
                )
            box, videos.hidden[index, step] = rows[name, file.name]
            image = Image.fromarray(load_image(file))
            videos.boxes[index, step] = box * np.tile((WIDTH / image.width, HEIGHT / image.height), 2)
            videos.frames[index, step] = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    mark(videos.frames, videos.boxes[:, 0])
    return videos


def _read_table(path: Path) -> Mapping[tuple[str, str], tuple[np.ndarray, bool]]:
    """Boxes `(4,)` and whether the target is hidden, by video and frame."""
    rows = {}
    for row in read_table(path, Columns(COLUMNS, optional=("hidden",))):
        if isinstance(row, Problem):
            raise DataError(f"{path}, line {row.line}: {row.message}.")
        try:
            box = np.array([float(row.cells[name]) for name in COLUMNS[2:]])
        except ValueError:
            box = np.zeros(4)
        if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
            raise DataError(f"{path}, line {row.line}: expected numbers with left < right and top < bottom.")
        rows[row.cells["video"], row.cells["frame"]] = box, row.cells.get("hidden") in ("1", "true")
    return rows
