"""Documents from tensorflow-datasets."""

from charlm.data.documents import Document
from shared.data.source import SPLITS, DataError, split_name
from shared.data.tfds import open_dataset, read_split


def read_tfds(source: str) -> dict[str, Document]:
    """The texts of a dataset of tensorflow-datasets, downloaded and prepared on first use.

    Args:
        source: `tfds:NAME`; the dataset must have a feature called `text`.

    Returns:
        A document, kept in memory, for each of the splits train, validation and test that the dataset has, in
        this order. The texts of a split are joined by line breaks. Other splits are left out.

    Raises:
        DataError: if there is no such dataset, it cannot be prepared, or it has no texts.
    """
    builder, _ = open_dataset(source, lambda features: _check(source, features), "tiny_shakespeare")
    texts: dict[str, list[bytes]] = {}
    # Mocked builders do not say which splits they have.
    for split in list(builder.info.splits) or SPLITS:
        records = read_split(builder, split, ["text"]) if split_name(split) in SPLITS else ()
        texts.setdefault(split_name(split), []).extend(record["text"] for record in records)
    return {
        split: Document(f"{source}, split {split}", b"\n".join(texts[split]))
        for split in SPLITS
        if split in texts
    }


def _check(source: str, features: dict) -> None:
    import tensorflow_datasets as tfds

    if not isinstance(features.get("text"), tfds.features.Text):
        raise DataError(
            f"{source} is not a dataset of texts: expected a feature called text; it has "
            f"{', '.join(features) or 'none'}."
        )
