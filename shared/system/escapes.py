"""Text from strangers on a terminal and in logs: what would control the terminal is shown instead."""

import json
import re
from collections.abc import Mapping
from typing import Any, TextIO

# Control characters, line and paragraph separators, and the marks that change the direction of writing.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# As above, but for tabs, line breaks, and the codes of colours.
_HIDDEN_IN_OUTPUT = re.compile(
    "(?!\x1b\\[[0-9;]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def visible(text: object) -> str:
    """A text on one line in which nothing controls a terminal: such characters are written as escapes.

    Example:

    >>> print(visible("a\\x1b[2J\\nb.jpg"))
    a\\x1b[2J\\nb.jpg
    """
    return _HIDDEN.sub(_escape, str(text))


def json_line(record: Mapping[str, Any]) -> str:
    """A JSON object on one line that a terminal can show; reading it gives the same record.

    Example:

    >>> print(json_line({"text": "é\\x9b2J"}))
    {"text": "é\\u009b2J"}
    """
    text = json.dumps(record, ensure_ascii=False)
    return _HIDDEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escape(match: re.Match) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class VisibleStream:
    """A terminal to which text of any origin may be written: only tabs, line breaks and colours control it.

    Args:
        stream: the terminal's own stream; everything but `write` is its own.
    """

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes a text; what would control the terminal is shown."""
        self._stream.write(_HIDDEN_IN_OUTPUT.sub(_escape, text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
