"""Training batches as a pure function of (seed, epoch), so that a run can go on exactly where it stopped."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from captioning.data.examples import Example
from shared.text.vocabulary import Vocabulary, tokenize_words

# Prepared training images up to this many bytes stay in memory; larger sets are read again each epoch.
PIXELS_IN_MEMORY = 4 * 2**30
# Captions of a batch are padded to a multiple of this many tokens: few shapes, so few graphs to trace.
LENGTH_STEP = 4


def encode_captions(
    examples: Sequence[Example], vocabulary: Vocabulary, max_length: int
) -> list[list[list[int]]]:
    """The captions of each example as ids, from the start to the end token, cut to `max_length` words."""
    return [
        [
            [vocabulary.START, *vocabulary.encode(tokenize_words(caption)[:max_length]), vocabulary.END]
            for caption in example.captions
        ]
        for example in examples
    ]


class CaptionBatches:
    """Batches of images with some of their captions, in an order drawn anew each epoch.

    Args:
        captions: token ids of every caption of every image, see `encode_captions`.
        images: a function from rows and a random generator to a dict of the images' part of the batch.
        batch_size: images in a batch; a last smaller batch is left out, unless it is the only one.
        captions_per_image: captions of one image in a batch; an image with fewer gets empty, unscored ones.
        seed: seed of order, choice of captions and mirroring.
    """

    def __init__(
        self,
        captions: list[list[list[int]]],
        images: Callable[[np.ndarray, np.random.Generator], dict],
        batch_size: int,
        captions_per_image: int,
        seed: int,
    ):
        self.captions, self.images, self.seed = captions, images, seed
        self.batch_size = min(batch_size, len(captions))
        self.captions_per_image = min(captions_per_image, max(map(len, captions)))

    @property
    def steps_per_epoch(self) -> int:
        return len(self.captions) // self.batch_size

    def __call__(self, epoch: int) -> Iterator[dict[str, np.ndarray]]:
        """The batches of an epoch: `images` or `features`, and `tokens` `(images, captions, time)` int32."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.captions))
        for step in range(self.steps_per_epoch):
            random = np.random.default_rng((self.seed, epoch, step))
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield {**self.images(rows, random), "tokens": self._tokens(rows, random)}

    def _tokens(self, rows, random):
        chosen = [self._choose(self.captions[row], random) for row in rows]
        longest = max(len(caption) for captions in chosen for caption in captions)
        length = -(-longest // LENGTH_STEP) * LENGTH_STEP
        tokens = np.full((len(rows), self.captions_per_image, length), Vocabulary.PAD, dtype=np.int32)
        for image, captions in enumerate(chosen):
            for place, caption in enumerate(captions):
                tokens[image, place, : len(caption)] = caption
        return tokens

    def _choose(self, captions, random):
        picked = random.permutation(len(captions))[: self.captions_per_image]
        return [captions[index] for index in picked]


def features_of(plain: np.ndarray, mirrored: np.ndarray | None) -> Callable:
    """Images of a batch as cached features `(images, cells, channels)`, half of them from `mirrored`.

    They become float32 here: TensorFlow logs an error about float16 on processors that are slow at it.
    """

    def images(rows, random):
        if mirrored is None:
            return {"features": plain[rows].astype(np.float32)}
        flips = random.random(len(rows)) < 0.5
        chosen = np.where(flips[:, None, None], mirrored[rows], plain[rows])
        return {"features": chosen.astype(np.float32)}

    return images


def pixels_of(examples: Sequence[Example], prepare: Callable, mirror: bool) -> Callable:
    """Images of a batch as pixels, loaded and prepared for the encoder in threads."""
    kept: dict[int, np.ndarray] = {}
    pool = ThreadPoolExecutor(max_workers=4)

    def load(row):
        if row in kept:
            return kept[row]
        image = prepare(examples[row].load())
        if len(kept) * image.nbytes < PIXELS_IN_MEMORY:
            kept[row] = image
        return image

    def images(rows, random):
        flips = random.random(len(rows)) < 0.5 if mirror else np.zeros(len(rows), bool)
        pictures = pool.map(load, rows.tolist())
        return {
            "images": np.stack([p[:, ::-1] if flip else p for p, flip in zip(pictures, flips, strict=True)])
        }

    return images
