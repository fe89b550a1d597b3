"""The images that `python -m captioning.predict` describes."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from captioning.data.find import find_images, skipped_images
from shared.data.packages import package_file
from shared.system.cli import UserError
from shared.system.output import print_error

# Photographs in the wheel of scikit-image, free to use.
SAMPLES = ("chelsea.png", "coffee.png", "motorcycle_left.png", "astronaut.png", "rocket.jpg")


def find_inputs(names: Sequence[str]) -> list[Path]:
    """The images that the command line names by files, folders, patterns or `-`; sample photographs for none.

    A file that does not exist stays in the list, to get its error among the captions of the others.

    Raises:
        UserError: a folder holds no images, no file matches a pattern, standard input is empty, or a name is
            a URL.
    """
    if not names:
        return sample_images()
    names = [path for name in names for path in (_stdin_lines() if name == "-" else [name])]
    for name in names:
        if "://" in name:
            raise UserError(f"{name} is a URL; download it first and give the file's path.")
    if not names:
        raise UserError("Standard input named no images. Expected one path on each line.")
    for line in skipped_images(names):
        print_error(line)
    return find_images(names)


def _stdin_lines() -> list[str]:
    lines = (os.fsdecode(line.rstrip(b"\r\n")) for line in sys.stdin.buffer)
    return [line for line in lines if line.strip()]


def sample_images() -> list[Path]:
    """The sample photographs; the package that carries them is not imported.

    Raises:
        UserError: scikit-image is not installed, or does not carry them.
    """
    paths = [path for name in SAMPLES if (path := package_file("skimage", "data", name))]
    if not paths:
        raise UserError(
            "The sample photographs come with scikit-image: name images of your own, or run "
            "`pip install '.[samples]'`."
        )
    here = Path.cwd()
    return [path.relative_to(here) if path.is_relative_to(here) else path for path in paths]
