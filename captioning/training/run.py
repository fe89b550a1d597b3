"""One training run of a captioner: data, model, loss and validation for `shared.training.loop.train`."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from captioning.app import APP
from captioning.config import CaptioningConfig
from captioning.data.examples import CaptionData
from captioning.data.images import resize
from captioning.evaluation.cider import CiderD
from captioning.model.captioner import Captioner
from captioning.training.batches import CaptionBatches, encode_captions, features_of, pixels_of
from captioning.training.features import extract_features
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary, tokenize_words
from shared.training.loop import TrainResult, train
from shared.training.losses import sequence_cross_entropy
from shared.training.optimizers import make_adamw
from shared.training.pace import cosine

SAMPLES_SHOWN = 4
LOADING_THREADS = 4


def train_captioner(
    config: CaptioningConfig,
    run: RunFolder,
    data: CaptionData,
    *,
    resume: bool = False,
    cache_dir: Path | None = None,
) -> TrainResult:
    """Trains a captioner in a run folder.

    Args:
        config: settings of the run.
        run: its folder.
        data: what `captioning.data.load_examples` read from `config.data`.
        resume: continue from the run's last checkpoint.
        cache_dir: folder of the feature cache.

    Returns:
        History, best epoch and its metrics.

    Raises:
        UserError: the data cannot be used, or the settings do not fit them.
    """
    keras.utils.set_random_seed(config.seed)
    if data.problems:
        print(
            f"{len(data.problems)} bad rows left out; `python -m captioning.data {config.data}` lists them."
        )
    examples = {split: _usable(data, split) for split in ("train", "validation")}  # before any long work
    captioner = make_captioner(config, run, data, resume)
    source = PixelSource if config.train_encoder else FeatureSource
    training = source(captioner, examples["train"], cache_dir, mirror=config.mirror)
    validation = source(captioner, examples["validation"], cache_dir, mirror=False)
    batches = CaptionBatches(
        encode_captions(training.examples, captioner.vocabulary, config.max_length),
        training.batch,
        config.batch_size,
        config.captions_per_image,
        config.seed,
    )
    warmup = min(config.warmup_steps / (config.epochs * batches.steps_per_epoch), 0.5)
    return train(
        captioner,
        make_adamw(config.learning_rate, config.weight_decay),
        CaptionLoss(config.label_smoothing),
        batches,
        epochs=config.epochs,
        schedule=cosine(config.learning_rate, warmup),
        steps_per_epoch=batches.steps_per_epoch,
        run=run,
        evaluate=Validation(validation, run, config),
        monitor="val_cider",
        patience=config.patience,
        clip_norm=config.clip_norm,
        average=config.average_decay,
        resume=resume,
    )


def make_captioner(config: CaptioningConfig, run: RunFolder, data: CaptionData, resume: bool) -> Captioner:
    """The captioner at the start of a run; its vocabulary is saved in the run folder, or read from there.

    Raises:
        UserError: no word is frequent enough, or `config.init_from` is not a model of these sizes.
    """
    start = APP.load(config.init_from, trainable=True) if config.init_from else None
    if resume:
        vocabulary = Vocabulary.load(run.vocabulary_file)
    else:
        vocabulary = start.vocabulary if start else _count_words(config, data)
        vocabulary.save(run.vocabulary_file)
    weights = None if start or config.encoder_weights == "none" else config.encoder_weights
    captioner = Captioner.from_settings(config, vocabulary, encoder_weights=weights)
    if start:
        _copy_weights(start, captioner, config.init_from)
    return captioner


def _count_words(config, data) -> Vocabulary:
    captions = (caption for example in data.split("train") for caption in example.captions)
    vocabulary = Vocabulary.build(map(tokenize_words, captions), min_count=config.min_count)
    if len(vocabulary) == len(Vocabulary.build([])):
        raise UserError(
            f"No word occurs {config.min_count} times in the training captions. Lower --min-count."
        )
    return vocabulary


def _copy_weights(start, captioner, name):
    try:
        captioner.set_weights(start.get_weights())
    except ValueError as error:
        wanted = _sizes(captioner)
        options = [f"{option} {value}" for option, value in _sizes(start).items() if wanted[option] != value]
        raise UserError(
            f"--init-from {name} has other sizes. To start from it, train with {', '.join(options)}."
        ) from error


def _sizes(captioner) -> dict[str, object]:
    """The options that the shapes of a captioner's weights depend on."""
    names = ("decoder", "cell", "units", "depth", "num_heads")
    settings = {f"--{name.replace('_', '-')}": captioner.settings[name] for name in names}
    return {"--encoder": captioner.encoder.architecture, **settings}


def _usable(data: CaptionData, split: str) -> list:
    examples = [example for example in data.split(split) if example.captions]
    if not examples:
        raise UserError(
            f"{data.name} has no {split} split: its images are in {', '.join(data.splits)}. Training needs "
            "images in train and in validation; assign them in the source's split column or lists."
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
        is_word = tf.not_equal(targets, Vocabulary.PAD)
        hidden, targets = tf.boolean_mask(hidden, is_word), tf.boolean_mask(targets, is_word)
        logits = captioner.decoder.logits(hidden, training=True)  # (words, vocabulary)
        return sequence_cross_entropy(targets, logits, None, label_smoothing=self.label_smoothing)


class FeatureSource:
    """Images as cached grid features, for an encoder that is not trained."""

    def __init__(self, captioner, examples, cache_dir, mirror):
        plain = extract_features(examples, captioner.encoder, cache_dir)
        mirrored = extract_features(examples, captioner.encoder, cache_dir, flip=True) if mirror else plain
        # Each has rows for the images that could be read when it was computed.
        cached = plain.index.keys() & mirrored.index.keys()
        self.examples = [example for example in examples if example.image_id in cached]
        _report([*plain.problems, *mirrored.problems] if len(self.examples) < len(examples) else [])
        self._plain = _select(plain, self.examples)
        self.batch = features_of(self._plain, _select(mirrored, self.examples) if mirror else None)
        self._captioner = captioner

    def caption(self, rows: slice, **options):
        return self._captioner.caption_features(self._plain[rows], **options)


class PixelSource:
    """Images as pixels, for an encoder that is trained too. All are read once to find the bad ones."""

    def __init__(self, captioner, examples, cache_dir, mirror):
        with ThreadPoolExecutor(LOADING_THREADS) as pool:
            problems = list(pool.map(_problem_of, examples))
        self.examples = [e for e, problem in zip(examples, problems, strict=True) if problem is None]
        _report([problem for problem in problems if problem is not None])
        if not self.examples:
            raise UserError(f"None of {len(problems)} images can be read. Check where the images are.")
        self.batch = pixels_of(self.examples, partial(resize, size=captioner.image_size), mirror)
        self._captioner = captioner

    def caption(self, rows: slice, **options):
        indices = np.arange(len(self.examples))[rows]
        pixels = self.batch(indices, np.random.default_rng(0))["images"]
        return self._captioner.caption_pixels(pixels, **options)


def _problem_of(example) -> str | None:
    try:
        example.load()
    except (UserError, OSError) as error:
        return str(error)
    return None


def _report(problems):
    if problems:
        print(f"{len(set(problems))} images cannot be read and are left out; the first: {problems[0]}")


def _select(features, examples):
    """The features of these examples; the memory map itself where it holds exactly them."""
    rows = [features.index[example.image_id] for example in examples]
    return features.array if rows == list(range(len(features.array))) else features.array[rows]


class Validation:
    """Captions the validation images: CIDEr-D, the share of exact captions, and samples to read."""

    def __init__(self, source, run, config):
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
            results = self.source.caption(rows, **options)
            for example, (best, *_) in zip(examples[rows], results, strict=True):
                captions[example.image_id] = list(best.tokens)
        self._show(epoch, captions)
        exact = np.mean([captions[image] in references for image, references in self.references.items()])
        return {"val_cider": self.cider.score(captions)[0], "val_exact": float(exact)}

    def _show(self, epoch, captions):
        step = max(len(captions) // SAMPLES_SHOWN, 1)
        shown = list(captions.items())[::step][:SAMPLES_SHOWN]
        text = "\n".join(f"  {image}: {' '.join(words)}" for image, words in shown)
        self.run.append_samples(f"epoch {epoch}\n{text}")
        print(text, flush=True)
