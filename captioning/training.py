"""One training run of a captioner: data, model, loss and validation for `shared.training.train`."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from captioning.batches import CaptionBatches, encode_captions, features_of, pixels_of
from captioning.cider import CiderD
from captioning.config import CaptioningConfig
from captioning.data import CaptionData, load_examples
from captioning.features import extract_features
from captioning.model import Captioner
from shared.cli import UserError
from shared.losses import sequence_cross_entropy
from shared.runs import RunFolder
from shared.text import Vocabulary, tokenize_words
from shared.training import TrainResult, train, warmup_cosine

SAMPLES_SHOWN = 4


def train_captioner(
    config: CaptioningConfig,
    run: RunFolder,
    *,
    resume: bool = False,
    init_from: str | None = None,
    image_folder: Path | None = None,
    cache_dir: Path | None = None,
) -> TrainResult:
    """Trains a captioner in a run folder.

    Args:
        config: settings of the run.
        run: its folder.
        resume: go on from the run's last checkpoint.
        init_from: preset or run whose vocabulary and weights the captioner starts from.
        image_folder: folder of the images, where the source does not know it.
        cache_dir: folder of the feature cache.

    Returns:
        History, best epoch and its metrics.

    Raises:
        UserError: the data cannot be used, or the settings do not fit them.
    """
    keras.utils.set_random_seed(config.seed)
    data = load_examples(config.data, images=image_folder)
    if data.problems:
        print(
            f"{len(data.problems)} bad rows left out; `python -m captioning.data {config.data}` lists them."
        )
    captioner = _make_captioner(config, run, data, init_from)
    source = PixelSource if config.train_encoder else FeatureSource
    training = source(captioner, _usable(data, "train"), cache_dir, mirror=config.mirror)
    validation = source(captioner, _usable(data, "validation"), cache_dir, mirror=False)
    batches = CaptionBatches(
        encode_captions(training.examples, captioner.vocabulary, config.max_length),
        training.batch,
        config.batch_size,
        config.captions_per_image,
        config.seed,
    )
    return train(
        captioner,
        _make_optimizer(config, config.epochs * batches.steps_per_epoch),
        CaptionLoss(config.label_smoothing),
        batches,
        epochs=config.epochs,
        steps_per_epoch=batches.steps_per_epoch,
        run=run,
        evaluate=Validation(captioner, validation, run, config),
        monitor="val_cider",
        mode="max",
        patience=config.patience,
        clip_norm=config.clip_norm,
        average=config.average_decay,
        resume=resume,
    )


def _make_captioner(config, run, data, init_from) -> Captioner:
    if init_from is not None:
        start = Captioner.from_any(init_from)
        start.vocabulary.save(run.vocabulary_file)
        captioner = Captioner.from_settings(config, start.vocabulary)
        captioner.set_weights(start.get_weights())
        return captioner
    if run.vocabulary_file.exists():
        vocabulary = Vocabulary.load(run.vocabulary_file)
    else:
        captions = (caption for example in data.split("train") for caption in example.captions)
        vocabulary = Vocabulary.build(map(tokenize_words, captions), min_count=config.min_count)
        vocabulary.save(run.vocabulary_file)
    weights = None if config.encoder_weights == "none" else config.encoder_weights
    return Captioner.from_settings(config, vocabulary, encoder_weights=weights)


def _make_optimizer(config, total_steps) -> keras.optimizers.Optimizer:
    schedule = warmup_cosine(config.learning_rate, min(config.warmup_steps, total_steps // 2), total_steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "embeddings"])
    return optimizer


def _usable(data: CaptionData, split: str) -> list:
    examples = data.split(split)
    if not examples:
        raise UserError(
            f"{data.name} has no {split} split; training needs images in both train and validation."
        )
    return examples


class CaptionLoss:
    """Cross entropy of each next word, over all captions of a batch."""

    def __init__(self, label_smoothing: float):
        self.label_smoothing = label_smoothing

    def __call__(self, captioner, batch):
        features, tokens = captioner.features_of(batch, training=True), batch["tokens"]
        hidden = captioner.decoder.hidden(features, tokens[:, :, :-1], training=True)
        targets = tokens[:, :, 1:]
        scored = tf.not_equal(targets, Vocabulary.PAD)
        logits = captioner.decoder.score(
            tf.boolean_mask(hidden, scored), training=True
        )  # (words, vocabulary)
        targets = tf.boolean_mask(targets, scored)
        return sequence_cross_entropy(targets, logits, None, label_smoothing=self.label_smoothing)


class FeatureSource:
    """Images as cached grid features: for an encoder that stays as it is."""

    def __init__(self, captioner, examples, cache_dir, mirror):
        plain = extract_features(examples, captioner.encoder, cache_dir)
        self.examples = [example for example in examples if example.image_id in plain.index]
        rows = [plain.index[example.image_id] for example in self.examples]
        self._plain = _select(plain, rows)
        mirrored = extract_features(examples, captioner.encoder, cache_dir, flip=True) if mirror else None
        self.batch = features_of(self._plain, None if mirrored is None else _select(mirrored, rows))
        self._captioner = captioner

    def caption(self, rows: slice, **options):
        return self._captioner.caption_features(self._plain[rows], **options)


class PixelSource:
    """Images as pixels: for an encoder that is trained too."""

    def __init__(self, captioner, examples, cache_dir, mirror):
        self.examples = list(examples)
        self.batch = pixels_of(self.examples, captioner.prepare, mirror)
        self._captioner = captioner

    def caption(self, rows: slice, **options):
        wanted = np.arange(len(self.examples))[rows]
        return self._captioner.caption(self.batch(wanted, np.random.default_rng(0))["images"], **options)


def _select(features, rows):
    """The rows of a feature array in the order asked; the memory map itself where that is its own order."""
    return features.array if rows == list(range(len(features.array))) else features.array[rows]


class Validation:
    """Captions the validation images: CIDEr-D, exactly right captions, and samples to read."""

    def __init__(self, captioner, source, run, config):
        self.source, self.run, self.config = source, run, config
        self.references = {
            example.image_id: [tokenize_words(caption) for caption in example.captions]
            for example in source.examples
        }
        self.cider = CiderD(self.references)

    def __call__(self, epoch: int) -> dict[str, float]:
        examples, size = self.source.examples, 4 * self.config.batch_size
        options = {"num_beams": self.config.validation_beams, "max_length": self.config.max_length}
        captions = {}
        for first in range(0, len(examples), size):
            rows = slice(first, first + size)
            found = self.source.caption(rows, **options)
            captions.update(
                {e.image_id: list(c[0].tokens) for e, c in zip(examples[rows], found, strict=True)}
            )
        self._show(epoch, captions)
        exact = np.mean([captions[image] in references for image, references in self.references.items()])
        return {"val_cider": self.cider.score(captions)[0], "val_exact": float(exact)}

    def _show(self, epoch, captions):
        step = max(len(captions) // SAMPLES_SHOWN, 1)
        shown = list(captions.items())[::step][:SAMPLES_SHOWN]
        text = "\n".join(f"  {image}: {' '.join(words)}" for image, words in shown)
        self.run.append_samples(f"epoch {epoch}\n{text}")
        print(text, flush=True)
