"""Rendered shapes: a small data set that is drawn, not downloaded, and whose captions are exactly right.

An image of 64 x 64 pixels shows one or two coloured shapes on a dark background; its caption describes them:

    a large blue square in the top left corner
    a small red circle above a large yellow square
    a small green triangle left of a small white cross

Of two shapes the upper or left one is named first, and sizes and positions are well apart, so that each image
has exactly one right caption. What the caption leaves open (exact position, size, tilt, shade, noise) differs
from image to image. Everything is drawn from one seed. No scene of the validation split (a combination of
shapes, attributes and positions) is in the train split.
"""

import functools
import random
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

SEED = 2015
TRAIN, VALIDATION = 4_000, 500
# The share of images with a single shape.
SINGLES = 0.15
SIDE = 64
# Images are drawn this much larger and then averaged, for smooth edges.
OVERSAMPLING = 4

COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 215, 50),
    "purple": (170, 60, 200),
    "white": (235, 235, 235),
}
SHAPES = ("circle", "square", "triangle", "cross")
# Radius in pixels: about the largest distance of the outline from the centre.
SIZES = {"small": 6.0, "large": 11.0}

NEAR, FAR, MIDDLE = 16, 48, 32
POSITIONS = {
    "in the middle": (MIDDLE, MIDDLE),
    "in the top left corner": (NEAR, NEAR),
    "in the top right corner": (FAR, NEAR),
    "in the bottom left corner": (NEAR, FAR),
    "in the bottom right corner": (FAR, FAR),
}
RELATIONS = ("above", "left of")
# Where the line through two shapes crosses the image.
LINES = (20, 32, 44)


@dataclass(frozen=True)
class Thing:
    """One shape of a scene; `x` and `y` are its nominal centre in pixels from the top left corner."""

    size: str
    colour: str
    shape: str
    x: int
    y: int

    def __str__(self) -> str:
        return f"a {self.size} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """One or two shapes, and the words for their position."""

    things: tuple[Thing, ...]
    where: str

    @property
    def caption(self) -> str:
        """The one right caption."""
        return " ".join((str(self.things[0]), self.where, *map(str, self.things[1:])))


def draw_scenes(train: int, validation: int, seed: int = SEED) -> tuple[list[Scene], list[Scene]]:
    """Draws the scenes of both splits.

    Args:
        train: number of scenes for training; the same scene may come twice, and is then rendered differently.
        validation: number of scenes for validation, all different, none of them for training.
        seed: determines all scenes.

    Returns:
        The scenes for training and those for validation.

    Example:

    >>> train, validation = draw_scenes(3, 1, seed=7)
    >>> validation[0].caption
    'a small red circle above a large purple circle'
    """
    dice = random.Random(seed)
    held_out: dict[Scene, None] = {}
    while len(held_out) < validation:
        held_out[_draw(dice)] = None
    shown: list[Scene] = []
    while len(shown) < train:
        scene = _draw(dice)
        if scene not in held_out:
            shown.append(scene)
    return shown, list(held_out)


def _draw(dice: random.Random) -> Scene:
    return _single(dice) if dice.random() < SINGLES else _pair(dice)


def _attributes(dice: random.Random) -> tuple[str, str, str]:
    return dice.choice(tuple(SIZES)), dice.choice(tuple(COLOURS)), dice.choice(SHAPES)


def _single(dice: random.Random) -> Scene:
    where = dice.choice(tuple(POSITIONS))
    return Scene((Thing(*_attributes(dice), *POSITIONS[where]),), where)


def _pair(dice: random.Random) -> Scene:
    where, line = dice.choice(RELATIONS), dice.choice(LINES)
    centres = [(line, NEAR), (line, FAR)] if where == "above" else [(NEAR, line), (FAR, line)]
    return Scene(tuple(Thing(*_attributes(dice), *centre) for centre in centres), where)


def render(scene: Scene, seed: int) -> Image.Image:
    """Draws a scene.

    Args:
        scene: what to draw.
        seed: determines what the scene leaves open.

    Returns:
        An RGB image of `SIDE` x `SIDE` pixels.
    """
    noise = np.random.default_rng(seed)
    ground = noise.uniform(20, 60) + noise.uniform(-8, 8, 3)
    side = SIDE * OVERSAMPLING
    image = Image.new("RGB", (side, side), tuple(int(value) for value in ground))
    canvas = ImageDraw.Draw(image)
    for thing in scene.things:
        centre = np.array([thing.x, thing.y]) + noise.uniform(-2, 2, 2)
        radius = SIZES[thing.size] * noise.uniform(0.92, 1.08)
        colour = np.clip(np.array(COLOURS[thing.colour]) + noise.uniform(-15, 15, 3), 0, 255)
        outline = centre + radius * _outline(thing.shape, noise.uniform(-0.15, 0.15))
        points = [tuple(point) for point in (outline * OVERSAMPLING).tolist()]
        canvas.polygon(points, fill=tuple(int(value) for value in colour))
    pixels = np.asarray(image.reduce(OVERSAMPLING), dtype=np.float64)
    pixels = pixels + noise.normal(0, 5, pixels.shape)
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def _outline(shape: str, tilt: float) -> np.ndarray:
    """Corners `(points, 2)` of a shape with about the area of the unit circle; `tilt` in radians."""
    if shape == "circle":
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        return 0.95 * np.stack([np.cos(angles), np.sin(angles)], -1)
    corners = {
        "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "triangle": [(0, -1.1), (1, 0.75), (-1, 0.75)],
        "cross": [
            *[(-0.33, -1), (0.33, -1), (0.33, -0.33), (1, -0.33), (1, 0.33), (0.33, 0.33)],
            *[(0.33, 1), (-0.33, 1), (-0.33, 0.33), (-1, 0.33), (-1, -0.33), (-0.33, -0.33)],
        ],
    }[shape]
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    return np.array(corners) @ turn


def make_builder(data_dir: str | None = None):
    """The tensorflow-datasets builder of the shapes.

    Args:
        data_dir: the folder of datasets; None: the default of tensorflow-datasets, `~/tensorflow_datasets`.

    Returns:
        A builder with the splits train and validation, and features `image`, `caption` and `image_id`.
    """
    return _builder_class()(data_dir=data_dir)


@functools.cache
def _builder_class():
    """Makes the class on first use, as importing tensorflow-datasets takes time."""
    import tensorflow_datasets as tfds

    class Shapes(tfds.core.GeneratorBasedBuilder):
        """Coloured shapes with sentences about them, rendered on this computer."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 3), encoding_format="png"),
                    "caption": tfds.features.Text(),
                    "image_id": tfds.features.Text(),
                }
            )
            return tfds.core.DatasetInfo(
                builder=self, features=features, supervised_keys=("image", "caption")
            )

        def _split_generators(self, dl_manager):
            train, validation = draw_scenes(TRAIN, VALIDATION)
            return {
                "train": self._generate_examples(train, VALIDATION),
                "validation": self._generate_examples(validation, 0),
            }

        def _generate_examples(self, scenes, first):
            for number, scene in enumerate(scenes, first):
                stream = BytesIO()
                render(scene, SEED + number).save(stream, "PNG", compress_level=1)
                stream.seek(0)
                image_id = f"scene-{number:05d}"
                yield image_id, {"image": stream, "caption": scene.caption, "image_id": image_id}

    return Shapes
