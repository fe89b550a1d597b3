"""A text and the parts that it is cut into."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from charlm.data.documents import BLOCK, Document
from shared.data.source import DataError


@dataclass(frozen=True)
class TextData:
    """A text and the parts that it is cut into; the text itself is read when it is asked for.

    Attributes:
        name: the source as the user named it.
        rule: how the parts were cut, in words.
        documents: the documents that the text consists of, in order.
        ranges: for each part its first character and the one after its last, counted over all documents.

    Example:

    >>> from charlm.data import load_text
    >>> data = load_text("hello")
    >>> data.splits, data.characters("validation"), data.text("all"), list(data.chunks("train", size=2))
    (('train', 'validation'), 5, 'hello', ['he', 'll', 'o'])
    """

    name: str
    rule: str
    documents: tuple[Document, ...]
    ranges: Mapping[str, tuple[int, int]]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the parts; in addition, `"all"` is the whole text."""
        return tuple(self.ranges)

    def characters(self, split: str) -> int:
        """How many characters (code points) a part has.

        Raises:
            DataError: if there is no such part.
        """
        start, stop = self._range(split)
        return stop - start

    def chunks(self, split: str, size: int = BLOCK) -> Iterator[str]:
        """A part in pieces of at most `size` characters.

        Raises:
            DataError: if there is no such part, or the text can no longer be read.
        """
        start, stop = self._range(split)
        first = 0
        for document in self.documents:
            begin, end = max(start - first, 0), min(stop - first, document.characters)
            if begin < end:
                yield from document.chunks(begin, end, size)
            first += document.characters

    def text(self, split: str) -> str:
        """A part as one string.

        Raises:
            DataError: if there is no such part, or the text can no longer be read.
        """
        return "".join(self.chunks(split))

    def _range(self, split: str) -> tuple[int, int]:
        if split == "all":
            return 0, sum(document.characters for document in self.documents)
        if split not in self.ranges:
            raise DataError(
                f"{self.name} has no split {split!r}. Expected one of {', '.join(self.splits)}, or all."
            )
        return self.ranges[split]
