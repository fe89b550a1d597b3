"""Training batches as a pure function of (seed, epoch), so that a run resumes exactly where it stopped."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from captioning.data.examples import Example
from shared.text.tokens import Tokenize
from shared.text.vocabulary import Vocabulary, tokenize_words

# Prepared training images up to this many bytes stay in memory; larger sets are read again each epoch.
PIXELS_IN_MEMORY = 4 * 2**30
# Captions of a batch are padded to a multiple of this many tokens: few shapes, so few graphs to trace.
LENGTH_STEP = 4


def encode_captions(
    examples: Sequence[Example], vocabulary: Vocabulary, max_length: int, tokenize: Tokenize = tokenize_words
) -> list[list[list[int]]]:
    """The captions of each example as ids, from the start to the end token, cut to `max_length` words."""
    return [
        [
            [vocabulary.START, *vocabulary.encode(tokenize(caption)[:max_length]), vocabulary.END]
            for caption in example.captions
        ]
        for example in examples
    ]


class CaptionBatches:
    """Batches of images with some of their captions, in a new random order each epoch.

    Args:
        captions: token ids of every caption of every image, see `encode_captions`.
        images: a function from rows and a random generator to a dict of the images' part of the batch.
        batch_size: images in a batch; a last smaller batch is dropped, unless it is the only one.
        captions_per_image: captions of one image in a batch; an image with fewer is padded with empty ones,
            which the loss ignores.
        seed: seed of order, choice of captions and mirroring.
        groups: the rows of each source, and how often it is drawn, relative to the others. Each of its images
            is shown once before any is shown again, from epoch to epoch too. None: every image once an epoch.
        weights: how much the captions of each image count, `(images,)`; None: all alike.
        repeats: how often an epoch shows each image.
    """

    def __init__(
        self,
        captions: list[list[list[int]]],
        images: Callable[[np.ndarray, np.random.Generator], dict],
        batch_size: int,
        captions_per_image: int,
        seed: int,
        groups: Sequence[tuple[np.ndarray, float]] | None = None,
        weights: np.ndarray | None = None,
        repeats: int = 1,
    ):
        self.captions, self.images, self.seed, self.repeats = captions, images, seed, repeats
        self.groups, self.weights = groups, weights
        self.batch_size = min(batch_size, len(captions))
        self.captions_per_image = min(captions_per_image, max(map(len, captions)))

    @property
    def steps_per_epoch(self) -> int:
        return self.repeats * len(self.captions) // self.batch_size

    def __call__(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """The batches of an epoch: `images` or `features`, and `tokens` `(images, captions, time)` int32."""
        order = self._order(epoch)
        for step in range(self.steps_per_epoch):
            random = np.random.default_rng((self.seed, epoch, step))
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            batch = {**self.images(rows, random), "tokens": self._tokens(rows, random)}
            yield batch if self.weights is None else {**batch, "weights": self.weights[rows]}

    def _order(self, epoch):
        random = np.random.default_rng((self.seed, epoch))
        if self.groups is None:
            orders = [random.permutation(len(self.captions)) for _ in range(self.repeats)]
            return np.concatenate(orders)
        ends = np.cumsum([share for _, share in self.groups])
        count = self.repeats * len(self.captions)
        counts = np.diff(np.rint(ends / ends[-1] * count).astype(int), prepend=0)
        drawn = [
            self._draw(group, rows, (epoch - 1) * count, count)
            for group, ((rows, _), count) in enumerate(zip(self.groups, counts.tolist(), strict=True))
        ]
        return random.permutation(np.concatenate(drawn))

    def _draw(self, group, rows, first, count):
        """`count` rows of a source, from this one on, of an endless sequence of its rows in random orders."""
        start, end = first // len(rows), -(-(first + count) // len(rows))
        rounds = [
            np.random.default_rng((self.seed, group, number, 1)).permutation(rows)
            for number in range(start, max(end, start + 1))
        ]
        return np.concatenate(rounds)[first - start * len(rows) :][:count]

    def _tokens(self, rows, random):
        chosen = [self._choose(self.captions[row], random) for row in rows]
        longest = max(len(caption) for captions in chosen for caption in captions)
        length = -(-longest // LENGTH_STEP) * LENGTH_STEP
        tokens = np.full((len(rows), self.captions_per_image, length), Vocabulary.PAD, dtype=np.int32)
        for image, captions in enumerate(chosen):
            for index, caption in enumerate(captions):
                tokens[image, index, : len(caption)] = caption
        return tokens

    def _choose(self, captions, random):
        indices = random.permutation(len(captions))[: self.captions_per_image]
        return [captions[index] for index in indices]


def features_of(plain: np.ndarray, mirrored: np.ndarray | None, teachers: Sequence[tuple] = ()) -> Callable:
    """A function that gives the images of a batch as cached features, half of them from `mirrored`.

    Args:
        plain: features `(images, cells, channels)`.
        mirrored: those of the mirrored images; None: no image is mirrored.
        teachers: the same two from the encoder of each teacher.

    Returns:
        The function `images` of `CaptionBatches`. Its features are float32: TensorFlow logs an error about
        float16 on processors that are slow at it.
    """

    def images(rows, random):
        flips = None if mirrored is None else random.random(len(rows)) < 0.5
        batch = {"features": _choose(plain, mirrored, rows, flips)}
        if teachers:
            batch["teacher_features"] = tuple(_choose(*pair, rows, flips) for pair in teachers)
        return batch

    return images


def _choose(plain, mirrored, rows, flips):
    if flips is None:
        return plain[rows].astype(np.float32)
    return np.where(flips[:, None, None], mirrored[rows], plain[rows]).astype(np.float32)


def pixels_of(examples: Sequence[Example], prepare: Callable) -> Callable:
    """A function that gives the images of a batch as pixels, loaded in threads.

    Args:
        examples: the images.
        prepare: from an image `(height, width, 3)` uint8 to the pixels that the encoder reads.

    Returns:
        A function from rows to pixels `(images, height, width, 3)` uint8.
    """
    cached: dict[int, np.ndarray] = {}
    pool = ThreadPoolExecutor(max_workers=4)

    def load(row):
        if row in cached:
            return cached[row]
        image = prepare(examples[row].load())
        if len(cached) * image.nbytes < PIXELS_IN_MEMORY:
            cached[row] = image
        return image

    return lambda rows: np.stack(list(pool.map(load, rows.tolist())))
