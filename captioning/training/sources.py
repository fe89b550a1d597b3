"""Where the images of a run come from: features that were computed before, or pixels."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from captioning.data.images import resize
from captioning.training.batches import features_of, pixels_of
from captioning.training.features import extract_features
from captioning.training.views import Views
from shared.system.cli import UserError
from shared.system.escapes import visible

LOADING_THREADS = 4


class FeatureSource:
    """Images as cached grid features, for an encoder that is not trained.

    Args:
        captioner: its encoder computes the features.
        examples: the images; those that cannot be read are left out of `self.examples`.
        cache_dir: folder of the feature cache.
        views: of these only mirrored ones are shown; None: the images themselves, for validation.
        teachers: captioners whose encoders' features come with each batch.

    Attributes:
        batch: the function `images` of `captioning.training.batches.CaptionBatches`.
    """

    def __init__(self, captioner, examples, cache_dir, views: Views | None, teachers=()):
        flips = (False, True) if views is not None and views.mirror else (False,)
        models = [
            [extract_features(examples, model.encoder, cache_dir, flip=flip) for flip in flips]
            for model in (captioner, *teachers)
        ]
        # Each has rows for the images that could be read when it was computed.
        all_features = [features for model in models for features in model]
        cached = set.intersection(*(set(features.index) for features in all_features))
        self.examples = [example for example in examples if example.image_id in cached]
        if len(self.examples) < len(examples):
            _report([problem for features in all_features for problem in features.problems])
        own, *others = (
            [_select(model[0], self.examples), _select(model[1], self.examples) if model[1:] else None]
            for model in models
        )
        self._plain, self._captioner = own[0], captioner
        self.batch = features_of(*own, others)

    def caption(self, rows: np.ndarray, **options):
        """Captions of the images with these indices, as `Captioner.caption_features` gives them."""
        return self._captioner.caption_features(self._plain[rows], **options)


class PixelSource:
    """Images as pixels, for an encoder that is trained too. All are read once to find the bad ones.

    Args:
        captioner: says which size its encoder reads.
        examples: the images; those that cannot be read are left out of `self.examples`.
        cache_dir, teachers: not used; a teacher sees the same pixels.
        views: how the images are shown in training; None: as they are, for validation.

    Attributes:
        batch: the function `images` of `captioning.training.batches.CaptionBatches`.
    """

    def __init__(self, captioner, examples, cache_dir, views: Views | None, teachers=()):
        with ThreadPoolExecutor(LOADING_THREADS) as pool:
            problems = list(pool.map(_problem_of, examples))
        self.examples = [e for e, problem in zip(examples, problems, strict=True) if problem is None]
        _report([problem for problem in problems if problem is not None])
        if not self.examples:
            raise UserError(f"None of {len(problems)} images can be read. Check where the images are.")
        self._pixels = pixels_of(self.examples, partial(resize, size=captioner.image_size))
        self._views, self._captioner = views, captioner

    def batch(self, rows: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        views = {} if self._views in (None, Views()) else self._views.draw(len(rows), random)
        return {"images": self._pixels(rows), **views}

    def caption(self, rows: np.ndarray, **options):
        """Captions of the images with these indices, as `Captioner.caption_pixels` gives them."""
        return self._captioner.caption_pixels(self._pixels(rows), **options)


def _problem_of(example) -> str | None:
    try:
        example.load()
    except (UserError, OSError) as error:
        return str(error)
    return None


def _report(problems):
    if problems:
        print(
            f"{len(set(problems))} images cannot be read and are left out; the first: {visible(problems[0])}"
        )


def _select(features, examples):
    """The features of these examples; the memory map itself where it holds exactly them."""
    rows = [features.index[example.image_id] for example in examples]
    return features.array if rows == list(range(len(features.array))) else features.array[rows]
