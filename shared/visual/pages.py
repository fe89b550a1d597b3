"""Pages that open from disk: one HTML file with its styles, scripts and numbers inside, and no network."""

import base64
import re
import sys
from typing import Any

import jinja2
import numpy as np

from shared.system.escapes import visible

LARGEST = 3_000_000  # bytes of a page
TEXT_OF_BYTES = 4 / 3  # characters of base64 for each byte
# Characters that no HTML page may contain in any form.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


def page_environment(package: str, folder: str) -> jinja2.Environment:
    """The templates of a folder, and `base.html.j2`, which they extend. All text is escaped.

    Args:
        package: the package that holds the folder.
        folder: the folder of templates, styles and scripts, within the package.
    """
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(package, folder), jinja2.PackageLoader("shared", "visual")]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_allowed,
    )


def _allowed(value: Any) -> Any:
    """A printed value without forbidden characters; one that is HTML already stays so."""
    return type(value)(_FORBIDDEN.sub("\ufffd", value)) if isinstance(value, str) else value


def packed(array: np.ndarray) -> dict[str, Any]:
    """An array for a page's script, where `unpack` of `base.js` makes it a typed array.

    Args:
        array: of int8, uint8, uint16 or float32.

    Example:

    >>> packed(np.array([[1, 2]], np.uint8))
    {'type': 'uint8', 'shape': [1, 2], 'data': 'AQI='}
    """
    data = base64.b64encode(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    return {"type": array.dtype.name, "shape": list(array.shape), "data": data.decode("ascii")}


def command_line() -> str:
    """The command that runs now, as a reader would type it; long arguments are cut."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    name = f"python -m {module.name.removesuffix('.__main__')}" if module else "python"
    return " ".join([name, *map(_quoted, sys.argv[1:])])


def _quoted(argument: str) -> str:
    shown = visible(argument if len(argument) <= 60 else argument[:57] + "...")
    return f"'{shown}'" if re.search(r"[^\w./:=-]", shown) or not shown else shown
