"""One training run of a captioner: data, model, loss and validation for `shared.training.loop.train`."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from captioning.app import APP
from captioning.config import CaptioningConfig
from captioning.data.examples import CaptionData, Example
from captioning.data.similar import shared_photographs
from captioning.model.captioner import Captioner
from captioning.model.ensemble import check_vocabulary
from captioning.training.batches import CaptionBatches, encode_captions
from captioning.training.checksums import data_checksums
from captioning.training.losses import CaptionLoss, CiderReward, SelfCriticalLoss, count_words
from captioning.training.memory import check_memory
from captioning.training.probe import make_probe
from captioning.training.sources import FeatureSource, PixelSource
from captioning.training.start import copy_weights, first_vocabulary
from captioning.training.validation import Validation
from captioning.training.views import Views
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.tokens import TOKENIZERS
from shared.text.vocabulary import Vocabulary
from shared.training.loop import TrainResult, train
from shared.training.optimizers import make_adamw
from shared.training.pace import cosine
from shared.training.replicas import Replicas


def train_captioner(
    config: CaptioningConfig,
    run: RunFolder,
    data: CaptionData,
    *,
    resume: bool = False,
    cache_dir: Path | None = None,
    save_every: float | None = None,
    replicas: Replicas | None = None,
    diagnostics: bool = True,
) -> TrainResult:
    """Trains a captioner in a run folder.

    Args:
        config: settings of the run.
        run: its folder.
        data: what `captioning.data.load_examples` read from `config.data`.
        resume: continue from the run's last checkpoint, if it has one.
        cache_dir: folder of the feature cache.
        save_every: minutes between two checkpoints within an epoch; None: only after each epoch.
        replicas: devices and machines that share each batch; None: one device.
        diagnostics: whether to draw curves, and measure gradients and matrices on the way.

    Returns:
        History, best epoch and its metrics.

    Raises:
        UserError: the data cannot be used, or the settings do not fit them.
        NothingLearned: the run is saved, and writes one caption for all images.
    """
    resume = resume and run.has_checkpoint
    if config.self_critical and replicas and replicas.count > 1:
        raise UserError(
            "--self-critical cannot be shared among replicas: its loss is a mean over words that are drawn "
            "in the step itself. Train it without --strategy."
        )
    keras.utils.set_random_seed(config.seed)
    if data.problems:
        sources = " ".join(config.data)
        print(f"{len(data.problems)} bad rows left out; `python -m captioning.data {sources}` lists them.")
    training, validation = split_examples(data)  # before any long work
    training = drawn_examples(config, data.sources, training)
    captioner = make_captioner(config, run, data, resume)
    teachers = load_teachers(config.teachers, captioner.vocabulary)
    if config.train_encoder:
        check_memory(captioner, config.batch_size, (len(training), len(validation)))
    images = PixelSource if config.train_encoder else FeatureSource
    views = Views(config.mirror, config.crop, config.brightness)
    training = images(captioner, training, cache_dir, views, teachers)
    validation = images(captioner, validation, cache_dir, None)
    batches = make_batches(config, data.sources, training, captioner.vocabulary)
    steps, epochs = batches.steps_per_epoch, config.self_critical or config.epochs
    validate = Validation(validation, run, config, training)
    result = train(
        captioner,
        make_adamw(config.learning_rate, config.weight_decay, parts=encoder_part(config, captioner, steps)),
        make_loss(config, training.examples, captioner.vocabulary, teachers),
        batches,
        epochs=epochs,
        schedule=cosine(config.learning_rate, min(config.warmup_steps / (epochs * steps), 0.5)),
        steps_per_epoch=steps,
        run=run,
        evaluate=validate,
        monitor="val_cider",
        patience=config.patience,
        clip_norm=config.clip_norm,
        average=config.average_decay,
        resume=resume,
        save_every=save_every,
        data=data_checksums(training.examples, validation.examples),
        replicas=replicas,
        weigh=count_words,
        probe=make_probe(captioner, validation, config.max_length, TOKENIZERS[config.tokenizer]),
        diagnostics=diagnostics,
    )
    if result.best_epoch not in validate.written:  # an earlier process saw that epoch
        run.load_best_weights(captioner, len(captioner.vocabulary))
        validate.remember(result.best_epoch, validate.caption_all())
    validate.check_learned(training, result.best_epoch)
    return result


def split_examples(data: CaptionData) -> tuple[list[Example], list[Example]]:
    """The images for training and for validation.

    With several sources, a training image that shows the photograph of a validation or test image is left
    out. A source without images for validation is trained on.

    Raises:
        UserError: there are no images for one of the two.
    """
    training, validation = (_usable(data, split) for split in ("train", "validation"))
    if len(data.sources) > 1:
        for source in data.sources:
            if source not in {example.source for example in validation}:
                print(f"{source} has no validation images: it is trained on, but not validated.")
        training = _without_shared(training, [*validation, *data.split("test")])
    return training, validation


def _without_shared(training, held_out) -> list[Example]:
    """The training images but those that show the photograph of a held-out one."""
    pairs = shared_photographs(training, held_out)
    if not pairs:
        return training
    leaked = {example.image_id for example, _ in pairs}
    one, other = pairs[0]
    print(
        f"{len(leaked)} training images show photographs that are also in validation or test, and are left "
        f"out; the first: {one.image_id}, which shows the same as {other.image_id}."
    )
    if len(leaked) == len(training):
        raise UserError("No training image is left. Give another source, or change its splits.")
    return [example for example in training if example.image_id not in leaked]


def drawn_examples(
    config: CaptioningConfig, sources: Sequence[str], training: list[Example]
) -> list[Example]:
    """The training images without those of sources whose share in `config.mix` is 0.

    Raises:
        UserError: none is left.
    """
    shares = dict(zip(sources, config.mix or [1.0] * len(sources), strict=True))
    drawn = [example for example in training if shares[example.source]]
    if not drawn:
        raise UserError("No source with a share above 0 in --mix has training images. Raise another share.")
    return drawn


def make_batches(config, sources, training, vocabulary) -> CaptionBatches:
    """The batches of a run, in which the sources have the shares and weights of the settings."""
    rows_of = [np.flatnonzero([e.source == source for e in training.examples]) for source in sources]
    groups = weights = None
    if config.mix:
        shares = np.array(config.mix) / sum(config.mix)
        groups = [(rows, share) for rows, share in zip(rows_of, shares.tolist(), strict=True) if len(rows)]
    if config.source_weights:
        weights = np.zeros(len(training.examples), np.float32)
        for rows, weight in zip(rows_of, config.source_weights, strict=True):
            weights[rows] = weight
    return CaptionBatches(
        encode_captions(training.examples, vocabulary, config.max_length, TOKENIZERS[config.tokenizer]),
        _numbered(training.batch) if config.self_critical else training.batch,
        config.batch_size,
        config.captions_per_image,
        config.seed,
        groups,
        weights,
        config.repeats,
    )


def _numbered(images):
    """`images` of `CaptionBatches`, with the images' numbers and a seed for sampling."""

    def numbered(rows, random):
        batch = images(rows, random)
        return {**batch, "rows": rows.astype(np.int32), "seed": np.int32(random.integers(2**31))}

    return numbered


def make_loss(config: CaptioningConfig, examples: list[Example], vocabulary: Vocabulary, teachers=()):
    """The loss of a run: cross entropy, or for self-critical training the reward."""
    cross_entropy = CaptionLoss(config.label_smoothing, teachers, config.teacher_weight)
    if not config.self_critical:
        return cross_entropy
    return SelfCriticalLoss(
        CiderReward(examples, vocabulary, TOKENIZERS[config.tokenizer]),
        config.samples,
        config.sample_temperature,
        config.max_length + 1,
        (cross_entropy, config.cross_entropy_weight),
    )


def encoder_part(config: CaptioningConfig, captioner: Captioner, steps_per_epoch: int) -> list:
    """The encoder's share of the learning rate, and the step from which it learns, as AdamW takes them."""
    paths = [variable.path for variable in captioner.encoder.trainable_variables]
    first_step = (config.encoder_from_epoch - 1) * steps_per_epoch
    is_usual = config.encoder_rate == 1.0 and first_step == 0
    return [] if is_usual or not paths else [(paths, config.encoder_rate, first_step)]


def make_captioner(config: CaptioningConfig, run: RunFolder, data: CaptionData, resume: bool) -> Captioner:
    """The captioner at the start of a run; its vocabulary is saved in the run folder, or read from there.

    The weights are those of the beginning also where a run resumes: a frozen encoder computes features before
    the checkpoint is loaded.

    Raises:
        UserError: no word is frequent enough, `config.init_from` cannot be used, or with the words of the
            data its vocabulary would double.
    """
    start = APP.load(config.init_from, trainable=True) if config.init_from else None
    if resume:
        vocabulary = Vocabulary.load(run.vocabulary_file)
    else:
        vocabulary = first_vocabulary(config, data, start.vocabulary if start else None)
        vocabulary.save(run.vocabulary_file)
    weights = None if start or config.encoder_weights == "none" else config.encoder_weights
    captioner = Captioner.from_settings(config, vocabulary, encoder_weights=weights)
    if start:
        copy_weights(start, captioner, config.seed)
    return captioner


def load_teachers(names: tuple[str, ...], vocabulary: Vocabulary) -> list[Captioner]:
    """The models that a run learns from.

    Raises:
        UserError: there is no such model, or it has another vocabulary.
    """
    teachers = [APP.load(name, trainable=True) for name in names]
    for name, teacher in zip(names, teachers, strict=True):
        check_vocabulary(teacher, vocabulary, f"The teacher {name}")
    return teachers


def _usable(data: CaptionData, split: str) -> list[Example]:
    examples = [example for example in data.split(split) if example.captions]
    if not examples:
        raise UserError(
            f"{data.name} has no {split} split: its images are in {', '.join(data.splits)}. Training needs "
            "images in train and in validation; assign them in the source's split column or lists."
        )
    return examples
