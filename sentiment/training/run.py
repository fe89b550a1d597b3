"""One training run of a sentiment model: its parts put together."""

import keras
import numpy as np

from sentiment.config import SentimentConfig
from sentiment.data.reviews import ReviewData
from sentiment.model.classifier import SentimentClassifier
from sentiment.text.words import encode_words
from sentiment.training.batches import ReviewBatches
from sentiment.training.head import fitted_model, train_output
from sentiment.training.loss import Loss
from sentiment.training.optimizer import make_optimizer
from sentiment.training.outcome import check_learned
from sentiment.training.pieces import Pieces, TaughtPieces
from sentiment.training.preparation import (
    data_checksums,
    label_indices,
    run_labels,
    run_vocabulary,
    suit_surprise,
    words_of_splits,
)
from sentiment.training.pretraining import prepare_language_model
from sentiment.training.probe import make_probe
from sentiment.training.recalibration import recalibrate
from sentiment.training.start import extended_vocabulary, load_start, start_from
from sentiment.training.teaching import taught_texts
from sentiment.training.validation import MIXED, Validation
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.training.loop import TrainResult, train
from shared.training.pace import cosine
from shared.training.precision import choose_policy
from shared.training.replicas import Replicas
from shared.training.reporting import Size

REVIEWS = Size("reviews", lambda batch: len(batch["targets"]))


def train_sentiment(
    config: SentimentConfig,
    run: RunFolder,
    data: ReviewData,
    *,
    resume: bool = False,
    save_every: float | None = None,
    replicas: Replicas | None = None,
    diagnostics: bool = True,
) -> TrainResult:
    """Trains a sentiment model in a run folder. Teachers label texts first, then a language model is trained.

    Args:
        config: settings of the run.
        run: its folder; the language model has a run folder inside.
        data: the reviews, from `sentiment.training.preparation.load_data`.
        resume: continue from the run's last checkpoint, or that of its language model, if there is one.
        save_every: minutes between two checkpoints within an epoch; None: only after each epoch.
        replicas: devices and machines that share each batch; None: one device.
        diagnostics: whether to draw curves, and measure gradients and matrices on the way.

    Returns:
        History, best epoch and its metrics.

    Raises:
        UserError: the reviews cannot be used, or the settings do not fit them.
        NothingLearned: the run is saved, but its model gives all texts one label.
    """
    words = words_of_splits(config, data)
    has_checkpoint = resume and run.has_checkpoint
    labels = run_labels(run, data, has_checkpoint)
    taught, soft_targets = taught_texts(config, run, data, words, labels, resume)
    language_model = prepare_language_model(config, run, words, resume, save_every, replicas)
    # The same random numbers follow, whether teachers and language model ran now or in an earlier process.
    keras.utils.set_random_seed(config.seed)
    start = None if has_checkpoint else load_start(config)
    given = None if language_model is None else language_model.vocabulary
    if start is not None:
        given = extended_vocabulary(start, words["train"], config.min_count)
    vocabulary = run_vocabulary(config, run, words["train"], given, has_checkpoint)
    config = suit_surprise(config, run, vocabulary, words["train"])
    model = SentimentClassifier.from_settings(
        config, vocabulary, labels, dtype=choose_policy(config.precision)
    )
    if language_model is not None:
        language_model.start(model)
    if start is not None:
        start_from(start, model, config.seed)
    ids = {
        split: [encode_words(vocabulary, one) for one in words[split]] for split in ("train", "validation")
    }
    indices = {split: label_indices(data.split(split), labels) for split in ids}
    targets = np.eye(len(labels), dtype=np.float32)[indices["train"]]
    sequences = [*ids["train"], *(encode_words(vocabulary, one) for one in taught)]
    targets = np.concatenate([targets, soft_targets])
    if config.layers == "temperature":
        return recalibrate(config, run, model, ids["validation"], indices["validation"])
    if config.layers == "output":
        result = train_output(run, model, sequences, targets, ids["validation"], indices["validation"])
        check_learned(run, model, result, ids, indices)
        return result
    pieces = TaughtPieces(sequences, targets, vocabulary, config.rules) if config.pieces else None
    if start is not None and pieces is None:
        fitted_model(model, sequences, targets)
    # Batches of few reviews would shift the moments that the output layer was fitted with, and batches of
    # pieces have others than batches of reviews.
    model.normalization.trainable = not config.init_from
    batches = ReviewBatches(
        sequences,
        targets,
        config.batch_size,
        config.window,
        config.seed,
        pieces=pieces,
        share=config.pieces,
    )
    _check_shares(config, batches.batch_size, replicas)
    pretrained = bool(config.init_from) or language_model is not None
    choosing = {"monitor": MIXED if pieces else "val_log_loss", "mode": "min"}
    if config.saved_epoch == "last":
        choosing = {"monitor": "epoch", "mode": "max"}
    result = train(
        model,
        make_optimizer(config, model, config.epochs * batches.steps_per_epoch, pretrained),
        Loss(config),
        batches,
        epochs=config.epochs,
        schedule=cosine(config.learning_rate, config.warmup),
        steps_per_epoch=batches.steps_per_epoch,
        run=run,
        evaluate=Validation(
            model,
            ids["train"],
            ids["validation"],
            indices["validation"],
            pieces=Pieces(ids["validation"], vocabulary) if config.pieces else None,
        ),
        **choosing,
        patience=config.patience,
        clip_norm=config.clip_norm,
        average=config.average_decay,
        size=REVIEWS,
        resume=has_checkpoint,
        save_every=save_every,
        data=data_checksums(data, zip(taught, soft_targets.tolist(), strict=True)),
        replicas=replicas,
        probe=make_probe(model, ids["validation"]),
        diagnostics=diagnostics,
    )
    check_learned(run, model, result, ids, indices)
    return result


def _check_shares(config: SentimentConfig, batch_size: int, replicas: Replicas | None) -> None:
    """The perturbation is a gradient of a replica's mean loss, through norms of the whole batch: shares that
    differ would bend it."""
    if config.adversarial and replicas and batch_size % replicas.count:
        raise UserError(
            f"--adversarial needs a batch size that {replicas.count} replicas divide; it is {batch_size}. "
            "Change --batch-size, or the number of devices or workers."
        )
