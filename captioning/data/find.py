"""Finds the images in folders and patterns, and says which files there are images that cannot be read."""

import glob
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from captioning.data.images import UNREADABLE, ImageError, suffixes


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """Expands files, folders and glob patterns to image files.

    A folder stands for the images directly in it, and a pattern (`*`, `?`, `[...]`, `**` for folders below)
    for the images among its matches; both are recognised by their suffix and sorted. What cannot be read is
    in the list too, so that the loader reports it while the others are read: a path that does not exist, a
    folder without permission, also one below `**`, a named pipe called `x.jpg`.

    Args:
        paths: files, folders and patterns, in any mixture.

    Returns:
        The files in the order of `paths`, each once.

    Raises:
        ImageError: if a folder holds no image, or a pattern matches none.
    """
    files: dict[Path, None] = {}
    for entry in paths:
        files.update(dict.fromkeys(_expand(Path(os.path.expanduser(entry)))))
    return list(files)


def skipped_images(paths: Iterable[str | Path]) -> list[str]:
    """What `find_images` skips in folders because Pillow cannot read it, a line for each folder and format.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "logo.svg").touch()
    >>> print(skipped_images([folder])[0].replace(str(folder), "photos"))
    photos: skipped 1 file *.svg (logo.svg): an SVG is a drawing; render it as PNG.
    """
    lines = []
    for folder in dict.fromkeys(Path(os.path.expanduser(entry)) for entry in paths):
        names = sorted(name for name in _names(folder) if _suffix(name) in UNREADABLE.keys() - suffixes())
        for suffix, count in Counter(map(_suffix, names)).items():
            first = next(name for name in names if _suffix(name) == suffix)
            files = (
                f"1 file *{suffix} ({first})" if count == 1 else f"{count:,} files *{suffix} ({first}, ...)"
            )
            lines.append(f"{folder}: skipped {files}: {UNREADABLE[suffix]}")
    return lines


def _expand(path: Path) -> list[Path]:
    known = ", ".join(sorted(suffixes()))
    if os.path.isdir(path):
        images = sorted(path / name for name in _names(path) if _is_image(path / name))
        if not images and os.access(path, os.R_OK):
            raise ImageError(
                f"{path}: no images in this folder. Expected files named {known}; "
                f'for images in folders below it, give "{path}/**/*".'
            )
        return images or [path]
    if os.path.lexists(path) or not glob.has_magic(str(path)):
        return [path]
    images = [file for file in map(Path, glob.glob(str(path), recursive=True)) if _is_image(file)]
    images = sorted(images + _closed_folders(str(path)))
    if not images:
        raise ImageError(f"{path}: no image matches this pattern. Expected files named {known}.")
    return images


def _closed_folders(pattern: str) -> list[Path]:
    """The folders that `**` cannot enter, which glob skips silently."""
    above, stars, _ = pattern.partition("**")
    folders = glob.glob(f"{above}**/", recursive=True) if stars else []
    return [Path(folder) for folder in folders if not os.access(folder, os.R_OK | os.X_OK)]


def _names(folder: Path) -> list[str]:
    """What a folder holds; nothing if it is none or cannot be read."""
    try:
        return [name for name in os.listdir(folder) if not name.startswith(".")]
    except (OSError, ValueError):
        return []


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _is_image(path: Path) -> bool:
    return _suffix(path.name) in suffixes() and not path.name.startswith(".") and not os.path.isdir(path)
