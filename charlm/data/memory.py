"""A text that is in memory already; see `shared.data.objects`."""

from os import PathLike
from typing import Any

from charlm.config import SPLITTING, CharLMConfig
from charlm.data.documents import Document
from charlm.data.load import load_text, make_text
from charlm.data.text_data import TextData
from shared.data.objects import DATA, texts_of
from shared.data.source import DataError


def text_in_memory(text: Any, config: CharLMConfig) -> TextData:
    """A text and its parts, as `charlm.fit` takes it.

    Args:
        text: a string; a column of strings, which are joined by line breaks; or a path object, which names a
            file or folder.
        config: how it is cut.

    Raises:
        DataError: it cannot be used.
    """
    if isinstance(text, PathLike):
        return load_text(text, **config.pick(SPLITTING))
    texts = texts_of(text)
    if texts is None:
        raise DataError(
            f"Expected a text, a list or column of texts, or a pathlib.Path, got {type(text).__name__}."
        )
    joined = texts if isinstance(texts, str) else "\n".join(texts)
    try:
        document = Document(DATA, joined.encode())
    except UnicodeEncodeError as error:
        raise DataError(
            f"The text holds half of a character, at index {error.start:,}. Remove it."
        ) from error
    return make_text(DATA, (document,), config.validation_fraction, config.test_fraction)
