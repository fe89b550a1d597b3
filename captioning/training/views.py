"""Views of photographs for training: mirrored, cropped, lighter or darker.

What a view shows is drawn in NumPy, as a function of the run's seed, and made inside the graph.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Views:
    """How views differ from their photographs.

    Attributes:
        mirror: whether half of them are mirrored.
        crop: the smallest share of the area that a view shows, in (0, 1].
        brightness: the largest relative change of brightness, in [0, 1).
    """

    mirror: bool = False
    crop: float = 1.0
    brightness: float = 0.0

    def draw(self, images: int, random: np.random.Generator) -> dict[str, np.ndarray]:
        """What each view shows, for `show`.

        Returns:
            `boxes` `(images, 4)`: top, left, bottom and right in [0, 1], left above right in a mirrored view;
            `brightness` `(images,)`: the factor of its pixels.
        """
        side = np.sqrt(random.uniform(self.crop, 1.0, images))
        top, left = (random.uniform(0.0, 1.0, (2, images)) * (1.0 - side)).astype(np.float64)
        boxes = np.stack([top, left, top + side, left + side], axis=1)
        if self.mirror:
            mirrored = random.random(images) < 0.5
            boxes[mirrored] = boxes[mirrored][:, [0, 3, 2, 1]]
        brightness = random.uniform(1.0 - self.brightness, 1.0 + self.brightness, images)
        return {"boxes": boxes.astype(np.float32), "brightness": brightness.astype(np.float32)}


def show(images, boxes, brightness):
    """The views of a batch of square images, bilinear.

    Args:
        images: `(images, size, size, 3)` in [0, 255].
        boxes, brightness: from `Views.draw`.

    Returns:
        `(images, size, size, 3)` float32 in [0, 255].

    Example:

    >>> image = np.arange(12, dtype="float32").reshape(1, 2, 2, 3)
    >>> show(image, [[0.0, 1.0, 1.0, 0.0]], [2.0])[0, 0].numpy().tolist()
    [[6.0, 8.0, 10.0], [0.0, 2.0, 4.0]]
    """
    images = tf.convert_to_tensor(images)
    views = tf.image.crop_and_resize(images, boxes, tf.range(tf.shape(images)[0]), images.shape[1:3])
    return tf.clip_by_value(views * tf.reshape(brightness, (-1, 1, 1, 1)), 0.0, 255.0)
