"""One training run of a captioner: data, model, loss and validation for `shared.training.loop.train`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from captioning.config import CaptioningConfig
from captioning.data.examples import CaptionData
from captioning.data.load import load_examples
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
    *,
    resume: bool = False,
    image_folder: Path | None = None,
    cache_dir: Path | None = None,
) -> TrainResult:
    """Trains a captioner in a run folder.

    Args:
        config: settings of the run.
        run: its folder.
        resume: go on from the run's last checkpoint.
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
    total_steps = config.epochs * batches.steps_per_epoch
    return train(
        captioner,
        make_adamw(config.learning_rate, config.weight_decay),
        CaptionLoss(config.label_smoothing),
        batches,
        epochs=config.epochs,
        schedule=cosine(config.learning_rate, warmup=min(config.warmup_steps / total_steps, 0.5)),
        steps_per_epoch=batches.steps_per_epoch,
        run=run,
        evaluate=Validation(validation, run, config),
        monitor="val_cider",
        mode="max",
        patience=config.patience,
        clip_norm=config.clip_norm,
        average=config.average_decay,
        resume=resume,
    )


def make_captioner(config: CaptioningConfig, run: RunFolder, data: CaptionData, resume: bool) -> Captioner:
    """The captioner as a run begins, with the words that its folder keeps from then on.

    Raises:
        UserError: the captions have no word that counts, or `config.init_from` is no model of these sizes.
    """
    start = _trained_before(config.init_from) if config.init_from else None
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
        raise UserError(f"No word is {config.min_count} times in the training captions. Lower --min-count.")
    return vocabulary


def _trained_before(name) -> Captioner:
    start = Captioner.from_any(name)
    if not isinstance(start, Captioner):
        raise UserError(
            f"--init-from {name} is an exported SavedModel, which cannot be trained. "
            "Name the run folder or preset that it was made of."
        )
    return start


def _copy_weights(start, captioner, name):
    try:
        captioner.set_weights(start.get_weights())
    except ValueError as error:
        asked, there = _sizes(captioner), _sizes(start)
        options = ", ".join(f"{option} {value}" for option, value in there.items() if asked[option] != value)
        raise UserError(
            f"--init-from {name} is a model of other sizes. To start from it, train with {options}."
        ) from error


def _sizes(captioner) -> dict[str, object]:
    """The options that decide on the shapes of a captioner's weights."""
    settings = {name: captioner.settings[name] for name in ("cell", "units", "depth", "num_heads")}
    settings["decoder"] = captioner.decoder_name
    options = {"encoder": captioner.encoder.architecture, **settings}
    return {f"--{name.replace('_', '-')}": value for name, value in options.items()}


def _usable(data: CaptionData, split: str) -> list:
    examples = [example for example in data.split(split) if example.captions]
    if not examples:
        raise UserError(
            f"{data.name} has no {split} split: its images are in {', '.join(data.splits)}. Training needs "
            "some in train and some in validation; name them in the source's column or lists of splits."
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
        mirrored = extract_features(examples, captioner.encoder, cache_dir, flip=True) if mirror else plain
        # Each has the rows of the images that could be read when it was computed.
        there = plain.index.keys() & mirrored.index.keys()
        self.examples = [example for example in examples if example.image_id in there]
        _report([*plain.problems, *mirrored.problems] if len(self.examples) < len(examples) else [])
        self._plain = _select(plain, self.examples)
        self.batch = features_of(self._plain, _select(mirrored, self.examples) if mirror else None)
        self._captioner = captioner

    def caption(self, rows: slice, **options):
        return self._captioner.caption_features(self._plain[rows], **options)


class PixelSource:
    """Images as pixels: for an encoder that is trained too. Reads all of them once, to know which can be."""

    def __init__(self, captioner, examples, cache_dir, mirror):
        with ThreadPoolExecutor(LOADING_THREADS) as pool:
            problems = list(pool.map(_problem_of, examples))
        self.examples = [e for e, problem in zip(examples, problems, strict=True) if problem is None]
        _report([problem for problem in problems if problem is not None])
        if not self.examples:
            raise UserError(f"None of {len(problems)} images can be read. Check where the images are.")
        self.batch = pixels_of(self.examples, captioner.prepare, mirror)
        self._captioner = captioner

    def caption(self, rows: slice, **options):
        wanted = np.arange(len(self.examples))[rows]
        return self._captioner.caption(self.batch(wanted, np.random.default_rng(0))["images"], **options)


def _problem_of(example) -> str | None:
    try:
        example.load()
    except (UserError, OSError) as error:
        return str(error)
    return None


def _report(problems):
    if problems:
        print(f"Images that cannot be read are left out, {len(set(problems))} of them; first {problems[0]}")


def _select(features, examples):
    """The features of these examples; the memory map itself where it holds them and no others."""
    rows = [features.index[example.image_id] for example in examples]
    return features.array if rows == list(range(len(features.array))) else features.array[rows]


class Validation:
    """Captions the validation images: CIDEr-D, exactly right captions, and samples to read."""

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
