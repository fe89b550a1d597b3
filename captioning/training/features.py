"""Grid features of many images, computed once by a frozen encoder and cached on disk."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from keras import ops
from PIL import Image

from captioning.config import MAX_PIXELS
from captioning.data.examples import Example, LazyImage
from captioning.model.encoder import Encoder
from shared.system.cli import UserError
from shared.system.files import remove_partial_files, take_lock, write_text_atomic
from shared.system.progress import progress_bar

LOADING_THREADS = 4
BATCHES_BETWEEN_SAVES = 16
LARGEST_FLOAT16 = 65504.0


class FeatureError(UserError):
    """Features cannot be computed or cached."""


class Features(NamedTuple):
    """Grid features of the images that could be read.

    Attributes:
        array: `(images, cells, channels)` float16, a read-only memory map.
        index: row of each image in `array`, by `image_id`.
        problems: a message for each image that was left out.
    """

    array: np.ndarray
    index: dict[str, int]
    problems: list[str]


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/unrolled/features`, by default below `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unrolled" / "features"


def extract_features(
    examples: Sequence[Example],
    encoder: Encoder,
    cache_dir: str | Path | None = None,
    batch_size: int = 32,
    flip: bool = False,
) -> Features:
    """Grid features of images, read from the cache or computed.

    The cache has one folder for each encoder (its weights and preprocessing) and list of images (ids, and
    size and time of files). Interrupted work resumes where it stopped. Images that cannot be read are left
    out.

    Args:
        examples: the images; where several share an `image_id`, the first is taken.
        encoder: computes the features, in inference mode.
        cache_dir: folder of all caches, by default `default_cache_dir()`.
        batch_size: images that the encoder reads at once.
        flip: mirror the images left to right.

    Returns:
        Array, index and problems.

    Raises:
        FeatureError: no image can be read, another process writes the same features, or the disk is full or
            refuses.
    """
    first: dict[str, Example] = {}
    for example in examples:
        first.setdefault(example.image_id, example)
    examples = list(first.values())
    cache = _Cache(Path(cache_dir or default_cache_dir()), examples, encoder, flip)
    try:
        if not cache.complete:
            with cache.locked():
                _extract(cache, encoder, batch_size, flip)
    except OSError as error:
        raise FeatureError(
            f"The features cannot be written to {cache.folder}: {error.strerror or error}. "
            "Name a folder with enough space that you may write to."
        ) from error
    return cache.features()


def _extract(cache: "_Cache", encoder: Encoder, batch_size: int, flip: bool) -> None:
    cache.announce()
    cache.require_room()
    encode = _encode_function(encoder)
    todo = cache.examples[cache.position :]
    bar = progress_bar(title="Features", unit="image", total=len(cache.examples), done=cache.position)
    with cache.writing(), bar, contextlib.closing(_load_batches(todo, encoder, batch_size, flip)) as batches:
        for number, loaded in enumerate(batches, start=1):
            images = [image for image in loaded if not isinstance(image, str)]
            cache.append(encode(np.stack(images)).numpy() if images else None, loaded)
            bar.update(len(loaded))
            if number % BATCHES_BETWEEN_SAVES == 0:
                cache.save()


def _encode_function(encoder: Encoder):
    size = encoder.image_size

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), "uint8")], autograph=False)
    def encode(images):
        # Clipped to float16, which NumPy makes of it: TensorFlow's conversion logs an error on some machines.
        return ops.clip(encoder(images, training=False), -LARGEST_FLOAT16, LARGEST_FLOAT16)

    return encode


def _load_batches(examples, encoder, batch_size, flip) -> Iterator[list[np.ndarray | str]]:
    """Prepared images or error messages; threads load a batch while the encoder reads the one before."""

    def load(example):
        try:
            image = encoder.prepare(example.load(encoder.image_size))
        except UserError as error:
            return str(error)
        except OSError as error:
            return f"{example.image_id}: {error}"
        return image[:, ::-1] if flip else image

    def load_batch(first):
        return [pool.submit(load, example) for example in examples[first : first + batch_size]]

    with ThreadPoolExecutor(LOADING_THREADS) as pool:
        ahead = load_batch(0)
        for first in range(batch_size, len(examples) + batch_size, batch_size):
            batch, ahead = ahead, load_batch(first)
            yield [future.result() for future in batch]


class _Cache:
    """One folder of the cache: `features.f16`, the rows without a header, and `state.json`.

    The state says how many examples are done and which of them were bad. Rows beyond it come from a process
    that was killed; they are cut off.
    """

    def __init__(self, cache_dir: Path, examples: Sequence[Example], encoder: Encoder, flip: bool):
        self.examples = examples
        self.shape = (encoder.grid[0] * encoder.grid[1], encoder.channels)
        self.row_bytes = 2 * self.shape[0] * self.shape[1]
        key = _key(examples, encoder, flip)
        self.folder = cache_dir / f"{encoder.architecture.lower()}-{encoder.image_size}-{key}"
        self.data_file, self.state_file = self.folder / "features.f16", self.folder / "state.json"
        self._read_state()

    def _read_state(self):
        self.position, self.bad = 0, {}
        with contextlib.suppress(OSError, ValueError, KeyError):  # no state or a damaged one: from the start
            state = json.loads(self.state_file.read_text(encoding="utf-8"))
            bad = {int(index): problem for index, problem in state["bad"].items()}
            if self.data_file.stat().st_size >= (state["position"] - len(bad)) * self.row_bytes:
                self.position, self.bad = state["position"], bad

    @property
    def complete(self) -> bool:
        return self.position == len(self.examples)

    @property
    def rows(self) -> int:
        return self.position - len(self.bad)

    @contextlib.contextmanager
    def locked(self):
        """Keeps other processes from writing the same features; rereads what they wrote before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "a") as lock:
            if not take_lock(lock):
                raise FeatureError(
                    f"Another process is writing the features in {self.folder}. Wait until it is done, then "
                    "start again."
                )
            remove_partial_files(self.folder)
            self._read_state()
            yield

    def announce(self):
        size = len(self.examples) * self.row_bytes / 1e6
        done = f"; {self.position} are done" if self.position else ""
        print(
            f"Features of {len(self.examples)} images: {size:,.1f} MB in {self.folder}{done}", file=sys.stderr
        )

    def require_room(self):
        """Raises `FeatureError` where the disk has no space for the missing rows."""
        written = self.data_file.stat().st_size if self.data_file.exists() else 0
        needed = len(self.examples) * self.row_bytes - written
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise FeatureError(
                f"The features need {needed / 1e6:,.1f} MB more, and {self.folder} has {free / 1e6:,.1f} MB "
                "left. Free some space, or name a folder on another disk."
            )

    @contextlib.contextmanager
    def writing(self):
        """Opens the data for `append`, and saves what is done, however the block ends."""
        with open(self.data_file, "ab") as self._file:
            self._file.truncate(self.rows * self.row_bytes)
            try:
                yield
            finally:
                self.save()

    def append(self, rows: np.ndarray | None, loaded: Sequence[np.ndarray | str]):
        """Adds a batch: the rows of its good images, and the error messages in `loaded`."""
        if rows is not None:
            self._file.write(np.ascontiguousarray(rows, dtype="<f2").tobytes())
        messages = {self.position + index: item for index, item in enumerate(loaded) if isinstance(item, str)}
        self.bad |= messages
        self.position += len(loaded)

    def save(self):
        """Writes the rows to the disk, and then the state that counts them."""
        self._file.flush()
        os.fsync(self._file.fileno())
        state = json.dumps({"position": self.position, "bad": self.bad})
        write_text_atomic(self.state_file, state)

    def features(self) -> Features:
        problems = list(self.bad.values())
        if not self.rows:
            first = f"; the first: {problems[0]}" if problems else ""
            raise FeatureError(
                f"None of {len(self.examples)} images can be read{first}. Check where the images are."
            )
        good = (example for index, example in enumerate(self.examples) if index not in self.bad)
        array = np.memmap(self.data_file, dtype="<f2", mode="r", shape=(self.rows, *self.shape))
        return Features(array, {example.image_id: row for row, example in enumerate(good)}, problems)


def _key(examples, encoder, flip) -> str:
    digest = hashlib.sha256(f"{encoder.fingerprint()} {flip}".encode())
    for example in examples:
        other = [] if example.max_pixels == MAX_PIXELS else [example.max_pixels]
        digest.update(json.dumps([example.image_id, _identity(example.image), *other]).encode())
    return digest.hexdigest()[:20]


def _identity(image) -> str:
    """A text that changes with the image: size and time of a file, a hash of the content of anything else."""
    if isinstance(image, LazyImage):
        return image.identity  # without fetching it
    if isinstance(image, str | Path):
        try:
            status = os.stat(image)
        except OSError:
            return "missing"
        return f"{status.st_size} {status.st_mtime_ns}"
    if isinstance(image, Image.Image):
        image = np.asarray(image)
    if isinstance(image, np.ndarray):
        return f"{image.shape} {image.dtype} {hashlib.sha256(np.ascontiguousarray(image)).hexdigest()}"
    return hashlib.sha256(image).hexdigest()
