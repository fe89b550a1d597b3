"""Captions from tensorflow-datasets: any dataset with an image and captions, and our own shapes.

Captions are read at once, images on demand: in files of TFRecord or ArrayRecord, each record can be read by
its position. Other storage is read once from beginning to end, and its images are kept in memory.
"""

import hashlib
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from captioning.data import shapes
from captioning.data.examples import HASH_NOTE, CaptionData, Example, LazyImage, hash_split
from shared.data.source import DataError, Problem, split_name
from shared.data.tfds import data_dir, open_builder, open_dataset, read_split
from shared.system.progress import progress_bar
from shared.system.quiet import import_tensorflow_quietly

CAPTION_KEYS = ("captions", "caption", "sentences", "sentence", "text", "description")
TEXT_KEYS = ("text", "raw", "caption", "sentence", "ragged_flat_values")
ID_KEYS = ("image/id", "image_id", "id", "image/filename", "filename")
# Mocked builders do not say which splits they have.
USUAL_SPLITS = ("train", "validation")
# From this number of images on, reading takes long enough for a progress bar.
MANY = 5_000


def read_shapes() -> CaptionData:
    """The rendered shapes, drawn on first use."""
    import_tensorflow_quietly()
    return read_builder("shapes", lambda: shapes.make_builder(data_dir()))


def read_tfds(source: str) -> CaptionData:
    """A dataset of tensorflow-datasets, downloaded and prepared on first use.

    Args:
        source: `tfds:NAME`; the name may have a config and a version, as in `tfds:coco_captions/2014:1.1.0`.

    Raises:
        DataError: if there is no such dataset, it cannot be prepared, or has no image with captions.
    """
    return _read(source, *open_dataset(source, lambda features: _keys(source, features), "coco_captions"))


def read_builder(name: str, make_builder: Callable) -> CaptionData:
    """Reads the dataset of a tensorflow-datasets builder, preparing it first if necessary.

    Args:
        name: what messages call the source.
        make_builder: makes the builder; called again if preparation fails, as another process may have
            prepared the dataset.

    Returns:
        All examples, with images that are read on demand.

    Raises:
        DataError: if there is no builder, preparation fails, or no feature is an image or captions.
    """
    return _read(name, *open_builder(name, make_builder, lambda features: _keys(name, features)))


def _read(name: str, builder, keys: tuple[str, str, str | None]) -> CaptionData:
    examples: list[Example] = []
    problems: list[Problem] = []
    for split in list(builder.info.splits) or USUAL_SPLITS:
        ids = set()
        for number, (image, image_id, captions) in enumerate(_read_split(name, builder, split, keys)):
            image_id = f"{split}-{number}" if image_id is None else image_id
            image_id = f"{image_id}#{number}" if image_id in ids else image_id
            ids.add(image_id)
            captions = tuple(caption.strip() for caption in captions if caption.strip())
            if captions:
                examples.append(Example(image_id, image, captions, split_name(split)))
            else:
                problems.append(Problem(name, 0, f"image {image_id} of split {split} has no caption"))
    if {example.split for example in examples} != {"train"}:
        return CaptionData(name, tuple(examples), tuple(problems))
    examples = [Example(e.image_id, e.image, e.captions, hash_split(e.image_id)) for e in examples]
    return CaptionData(name, tuple(examples), tuple(problems), (HASH_NOTE,))


def _keys(name: str, features: dict) -> tuple[str, str, str | None]:
    """Which features are the image, the captions and the image's id."""
    import tensorflow_datasets as tfds

    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image)]
    image = "image" if "image" in images else next(iter(images), None)
    captions = next((key for key in CAPTION_KEYS if key in features), None)
    if image is None or captions is None:
        raise DataError(
            f"{name} is not a dataset of captions: expected an image and one of the features "
            f"{', '.join(CAPTION_KEYS)}; it has {', '.join(features) or 'none'}."
        )
    return image, captions, next((key for key in ID_KEYS if key in features), None)


def _read_split(name: str, builder, split: str, keys) -> Iterator[tuple]:
    """Image, id and captions of each record."""
    image, captions, image_id = keys
    records = _random_access(name, builder, split)
    if records is None:
        for values in read_split(builder, split, [key for key in keys if key]):
            yield values[image], _text(values.get(image_id)), _texts(values[captions])
        return
    caption_keys = (captions, *(f"{captions}/{key}" for key in TEXT_KEYS))
    indices = range(len(records))
    for index in progress_bar(indices, title=f"{name} {split}", unit="record", least=MANY):
        features = _features(records[index])
        texts = next((features[key].bytes_list.value for key in caption_keys if key in features), ())
        data = features[image].bytes_list.value[0]
        yield RecordImage(records, index, image, data), _id(features, image_id), _texts(list(texts))


def _features(record: bytes):
    import tensorflow as tf

    return tf.train.Example.FromString(record).features.feature


def _id(features, key: str | None) -> str | None:
    if key is None or key not in features:
        return None
    value = features[key]
    return _text(next(iter((*value.bytes_list.value, *value.int64_list.value)), None))


def _text(value) -> str | None:
    value = value.item() if isinstance(value, np.ndarray | np.generic) and np.ndim(value) == 0 else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)


def _texts(value) -> list[str]:
    """The strings in decoded captions: one string, many, or a dict that holds them."""
    if isinstance(value, dict):
        return _texts(next((value[key] for key in TEXT_KEYS if key in value), []))
    if hasattr(value, "to_list"):  # a ragged tensor
        value = value.to_list()
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        return [text for item in value for text in _texts(item)]
    return [_text(value)]


def _random_access(name: str, builder, split: str) -> Sequence[bytes] | None:
    """The serialised examples of a split by index; None if its files can only be read in order."""
    import tensorflow_datasets as tfds

    info = builder.info.splits.get(split)
    if info is None or not info.filename_template or not all(os.path.isfile(path) for path in info.filepaths):
        return None
    if builder.info.file_format == tfds.core.FileFormat.TFRECORD:
        return TfrecordFiles(name, [Path(path) for path in info.filepaths])
    if builder.info.file_format == tfds.core.FileFormat.ARRAY_RECORD:
        return builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    return None


class RecordImage(LazyImage):
    """An image in a file of records; it holds the index of its record only."""

    def __init__(self, records: Sequence[bytes], index: int, key: str, data: bytes):
        self.records, self.index, self.key = records, index, key
        self.identity = "sha256:" + hashlib.sha256(data).hexdigest()

    def read(self) -> bytes:
        return _features(self.records[self.index])[self.key].bytes_list.value[0]


class TfrecordFiles(Sequence):
    """Random access to TFRecord files, which TensorFlow itself reads in order only.

    A record is its length (8 bytes, little endian), a checksum of that (4), the data, and their checksum (4).
    """

    def __init__(self, name: str, paths: Sequence[Path]):
        self.records: list[tuple[Path, int, int]] = []  # file, first byte and length of each
        for path in paths:
            self.records.extend((path, start, length) for start, length in _scan(name, path))

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> bytes:
        path, start, length = self.records[index]
        with open(path, "rb") as stream:
            stream.seek(start)
            return stream.read(length)


def _scan(name: str, path: Path) -> Iterator[tuple[int, int]]:
    size, position = path.stat().st_size, 0
    with open(path, "rb") as stream:
        while position < size:
            stream.seek(position)
            header = stream.read(12)
            start = position + 12
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else size
            position = start + length + 4
            if position > size:
                raise DataError(
                    f"{name}: {path} is cut off. Remove its folder, so that it is prepared again."
                )
            yield start, length
