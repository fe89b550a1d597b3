"""Rendered videos: two identical balls cross and hide behind a bar; one is marked in the first frame."""

from typing import NamedTuple

import numpy as np

HEIGHT, WIDTH, STEPS = 24, 36, 24
RADIUS = 3.0
BAR = (12.0, 24.0)  # left and right edge; the bar is as high as the frame
HIDDEN = (3, 8)  # fewest and most frames that a ball needs to cross behind the bar
BACKGROUND, BALL, POST = (235, 235, 230), (70, 70, 75), (150, 120, 90)
MARK = np.array((220, 40, 40))


class Videos(NamedTuple):
    """Videos and what is known of them.

    Attributes:
        frames: `(videos, steps, height, width, 3)` uint8.
        boxes: `(videos, steps, 4)` float32: left, top, right, bottom of the marked ball in pixels.
        hidden: `(videos, steps)` bool, whether it is out of sight as a whole.
    """

    frames: np.ndarray
    boxes: np.ndarray
    hidden: np.ndarray


def render(seed: int, videos: int, steps: int = STEPS) -> Videos:
    """Renders videos, the same ones for the same seed.

    Args:
        seed: of all positions and speeds.
        videos: how many.
        steps: frames of each.
    """
    rng = np.random.default_rng(seed)
    from_right = rng.random(videos) < 0.5  # the marked ball; the other one comes from the other side
    centres = [_path(rng, side, steps) for side in (from_right, ~from_right)]
    frames = np.empty((videos, steps, HEIGHT, WIDTH, 3), np.uint8)
    frames[:] = BACKGROUND
    for path in centres:
        _paint_balls(frames, path)
    frames[..., int(BAR[0]) : int(BAR[1]), :] = POST
    boxes = np.concatenate([centres[0] - RADIUS, centres[0] + RADIUS], axis=-1).astype(np.float32)
    mark(frames, boxes[:, 0])
    hidden = (boxes[..., 0] >= BAR[0]) & (boxes[..., 2] <= BAR[1])
    return Videos(frames, boxes, hidden)


def _path(rng, from_right, steps):
    """Centres `(videos, steps, 2)`: straight at constant speed, thrown back by the edges of the frame."""
    videos = len(from_right)
    frames_hidden = rng.integers(HIDDEN[0] + 1, HIDDEN[1] + 1, videos) - 0.5
    speed = np.stack(
        [(BAR[1] - BAR[0] - 2 * RADIUS) / frames_hidden, rng.uniform(-1.2, 1.2, videos)], axis=-1
    )
    start = np.stack(
        [rng.uniform(RADIUS, BAR[0] - RADIUS, videos), rng.uniform(RADIUS, HEIGHT - RADIUS, videos)], axis=-1
    )
    start[from_right, 0] = WIDTH - start[from_right, 0]
    speed[from_right, 0] *= -1
    size = np.array((WIDTH, HEIGHT)) - 2 * RADIUS
    unfolded = start[:, None] - RADIUS + speed[:, None] * np.arange(steps)[:, None]
    return RADIUS + size - np.abs(size - unfolded % (2 * size))


def _paint_balls(frames, centres):
    """Discs with soft edges."""
    x, y = np.arange(WIDTH) + np.float32(0.5), np.arange(HEIGHT)[:, None] + np.float32(0.5)
    for video, path in zip(frames, centres, strict=True):
        distance = np.hypot(x - path[:, None, None, 0], y - path[:, None, None, 1])  # (steps, height, width)
        cover = np.clip(RADIUS + 0.5 - distance, 0, 1)[..., None]
        video[:] = (1 - cover) * video + cover * BALL


def mark(frames: np.ndarray, boxes: np.ndarray) -> None:
    """Tints the box `(videos, 4)` of the first frame of each video red, in place."""
    for video, box in zip(frames, boxes, strict=True):
        left, top, right, bottom = np.round(box).astype(int)
        part = video[0, max(top, 0) : bottom, max(left, 0) : right]
        part[:] = (0.4 * part + 0.6 * MARK).astype(np.uint8)
