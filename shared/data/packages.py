"""Data that an installed Python package carries: texts, tables, photographs, weights."""

import importlib.util
from pathlib import Path


def package_file(package: str, *path: str) -> Path | None:
    """A file or folder in an installed package.

    The package is located, not imported: none of its code runs.

    Args:
        package: the name under which Python would import it.
        path: the folders and the file in it.

    Returns:
        The path; None if the package is not installed or has no such file.

    Example:

    >>> package_file("json", "decoder.py").name, package_file("json", "absent.txt")
    ('decoder.py', None)
    """
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    paths = (Path(folder, *path) for folder in folders or ())
    return next((found for found in paths if found.exists()), None)
