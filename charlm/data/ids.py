"""The tokens of a part of a text, in memory or, if there are many, in a file."""

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from charlm.data.text_data import TextData
from charlm.text.characters import CharacterVocabulary
from shared.system.files import write_atomic

# A part of more characters than this is kept in a file, not in memory.
IN_MEMORY = 64 * 2**20


def encode_split(
    data: TextData, split: str, vocabulary: CharacterVocabulary, folder: str | Path | None = None
) -> np.ndarray:
    """The ids of a part; those of a large part are kept in a file and read on demand.

    Args:
        data: the text.
        split: the name of a part, or `"all"`.
        vocabulary: turns characters into ids.
        folder: the folder for the file of a large part, created if absent; by default the file is temporary.

    Returns:
        `(tokens,)` uint16 if the vocabulary fits, else int32; a read-only memory map for a part of
        more than `IN_MEMORY` characters.

    Raises:
        DataError: if there is no such part, or the text can no longer be read.
        RunError: if the file cannot be written. No partial file is left behind, not even after Ctrl-C.

    Example:

    >>> from charlm.data import load_text
    >>> encode_split(load_text("hello"), "train", CharacterVocabulary("ehlo"))
    array([257, 256, 258, 258, 259], dtype=uint16)
    """
    dtype = np.dtype(np.uint16 if len(vocabulary) <= 2**16 else np.int32)
    pieces = (vocabulary.encode(chunk).astype(dtype) for chunk in data.chunks(split))
    if data.characters(split) <= IN_MEMORY:
        return np.concatenate(list(pieces))
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        path = Path(folder) / f"{split}.{dtype.name}"
        write_atomic(path, lambda file: _write(pieces, file))
        return np.memmap(path, dtype, mode="r")


def _write(pieces: Iterable[np.ndarray], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for piece in pieces:
            piece.tofile(file)
