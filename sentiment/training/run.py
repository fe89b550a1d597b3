"""One training run of a sentiment model: reviews, language model, loss and validation put together."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tqdm import tqdm

from sentiment.config import LANGUAGE_FOLDER, SentimentConfig
from sentiment.data.labels import load_labels, save_labels
from sentiment.data.load import load_reviews, load_texts
from sentiment.data.reviews import Review, ReviewData, print_problems
from sentiment.evaluation.metrics import measure
from sentiment.model.batching import softmax
from sentiment.model.classifier import SentimentClassifier, encode_words
from sentiment.model.language import WordLM
from sentiment.text.words import split_words
from sentiment.training.batches import ReviewBatches
from sentiment.training.calibration import fit_temperature
from sentiment.training.optimizer import make_optimizer
from sentiment.training.pretraining import language_run, load_language_model, train_language_model
from sentiment.training.teaching import TAUGHT_FILE, load_taught, save_taught, teach
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary
from shared.training.loop import TrainResult, train
from shared.training.pace import cosine
from shared.training.precision import choose_policy
from shared.training.reporting import Size

NORMALIZED_BY = 1024  # training reviews
REVIEWS = Size("reviews", lambda batch: len(batch["targets"]))


def train_sentiment(config: SentimentConfig, run: RunFolder, *, resume: bool = False) -> TrainResult:
    """Trains a sentiment model in a run folder, after its teachers were asked and its language model trained.

    Args:
        config: settings of the run.
        run: its folder; the language model has a run folder inside.
        resume: go on from the run's last checkpoint, or that of its language model.

    Returns:
        History, best epoch and its metrics.

    Raises:
        UserError: the reviews cannot be used, or the settings do not fit them.
    """
    columns = ("text_column", "label_column", "split_column", "validation_fraction", "seed")
    data = load_reviews(config.data, **{name: getattr(config, name) for name in columns})
    print(f"{data.name}: {data.rule}.", flush=True)
    print_problems(data.problems)
    words = {
        split: split_all([review.text for review in data.split(split)]) for split in ("train", "validation")
    }
    begun = resume and run.last_checkpoint.exists()
    labels = _labels(run, data, begun)
    taught, soft = _taught(config, run, data, words, labels, resume)
    language_model = _language_model(config, run, data, words, resume)
    # From here on, random numbers are the same, whether other models were trained or asked now or earlier.
    keras.utils.set_random_seed(config.seed)
    vocabulary = _vocabulary(config, run, words["train"], language_model, begun)
    policy = choose_policy(config.precision)
    model = SentimentClassifier.from_settings(config, vocabulary, labels, dtype=policy)
    if language_model is not None:
        language_model.start(model)
    sequences = {split: [encode_words(vocabulary, one) for one in words[split]] for split in words}
    validated = _places(data.split("validation"), labels)
    learned = np.eye(len(labels), dtype=np.float32)[_places(data.split("train"), labels)]
    batches = ReviewBatches(
        [*sequences["train"], *(encode_words(vocabulary, one) for one in taught)],
        np.concatenate([learned, soft]),
        config.batch_size,
        config.window,
        config.seed,
    )
    steps = config.epochs * batches.steps_per_epoch
    return train(
        model,
        make_optimizer(config, model, steps, pretrained=language_model is not None),
        Loss(config),
        batches,
        epochs=config.epochs,
        schedule=cosine(config.learning_rate, config.warmup),
        steps_per_epoch=batches.steps_per_epoch,
        run=run,
        evaluate=Validation(model, sequences["train"], sequences["validation"], validated),
        monitor="val_log_loss",
        mode="min",
        patience=config.patience,
        clip_norm=config.clip_norm,
        average=config.average_decay,
        size=REVIEWS,
        resume=begun,
    )


def split_all(texts: Sequence[str]) -> list[list[str]]:
    """The words of many texts, with a progress bar where standard error is a terminal."""
    bar = tqdm(texts, desc="words", unit="text", leave=False, disable=None)
    return [split_words(text) for text in bar]


def _language_model(config, run, data, words, resume) -> WordLM | None:
    """The language model to begin with, trained where that is not done yet."""
    path: Path = run.path / LANGUAGE_FOLDER
    if config.language_model:
        return load_language_model(config.language_model, config)
    if not config.pretrain:
        return None
    if not run.last_checkpoint.exists():
        goes_on = resume and (path / "last.npz").exists()
        texts = _language_texts(config, data, words)
        order = np.random.default_rng(config.seed).permutation(len(texts))
        language = language_run(config, path, goes_on)
        vocabulary = Vocabulary.build(texts, config.min_count, config.max_vocabulary)
        shuffled = [texts[place] for place in order]
        train_language_model(config, language, shuffled, words["validation"], vocabulary, resume=goes_on)
    return load_language_model(path, config)


def _language_texts(config, data, words) -> list[tuple[str, ...]]:
    """The words of each text that the language model learns from, once; none of validation or test."""
    unlabelled = split_all(load_texts(config.pretrain, text_column=config.text_column))
    texts = dict.fromkeys(map(tuple, [*words["train"], *unlabelled]))
    for one in _held_out(data, words):
        texts.pop(tuple(one), None)
    return list(texts)


def _held_out(data, words) -> list[list[str]]:
    """The words of each text of which nothing is to be learned."""
    return [*words["validation"], *split_all([review.text for review in data.splits.get("test", ())])]


def _taught(config, run, data, words, labels, resume) -> tuple[list[Sequence[str]], np.ndarray]:
    """The words of each text that the teachers label, once, and its soft labels `(texts, labels)`."""
    if not config.teachers:
        return [], np.zeros((0, len(labels)), np.float32)
    if resume and (run.path / TAUGHT_FILE).exists():
        texts, soft = load_taught(run)
        return split_all(texts), soft
    texts = load_texts(config.unlabelled, text_column=config.text_column)
    found: dict[tuple[str, ...], str] = {}
    for one, text in zip(split_all(texts), texts, strict=True):
        found.setdefault(tuple(one), text)
    for one in [*_held_out(data, words), *words["train"]]:
        found.pop(tuple(one), None)
    if not found:
        raise UserError(
            "--unlabelled has no text that the labelled ones have not: name other texts, or leave it away"
        )
    kept = list(found.values())
    soft = teach(config.teachers, kept, data.split("train"), labels)
    save_taught(run, kept, soft)
    return list(found), soft


def _vocabulary(config, run, train_words, language_model, resume) -> Vocabulary:
    if resume:
        return Vocabulary.load(run.vocabulary_file)
    if language_model is not None:
        vocabulary = language_model.vocabulary
    else:
        vocabulary = Vocabulary.build(train_words, config.min_count, config.max_vocabulary)
    vocabulary.save(run.vocabulary_file)
    return vocabulary


def _labels(run: RunFolder, data: ReviewData, resume: bool) -> tuple[str, ...]:
    if resume:
        return load_labels(run)
    save_labels(run, data.labels)
    return data.labels


def _places(reviews: Sequence[Review], labels: Sequence[str]) -> np.ndarray:
    places = {label: place for place, label in enumerate(labels)}
    for review in reviews:
        if review.label not in places:
            raise UserError(
                f"{review.place} has the label {review.label!r}, with which the run did not begin. Continue "
                "it with the same data, or start a new run in another folder."
            )
    return np.array([places[review.label] for review in reviews], np.int32)


class Loss:
    """Cross entropy of the labels, and where wanted of the same reviews in an adversarial disguise.

    The disguise is a change of all embedded words of a review, of given length, in the direction in which
    the loss grows fastest (Miyato, Dai and Goodfellow 2017, "Adversarial Training Methods for Semi-Supervised
    Text Classification", equations 3 and 4).
    """

    def __init__(self, config: SentimentConfig):
        self._smoothing, self._length = config.label_smoothing, config.adversarial

    def __call__(self, model: SentimentClassifier, batch) -> tf.Tensor:
        embedded = model.embed(batch["tokens"])
        if not self._length:
            return self._cross_entropy(model, embedded, batch)
        inputs = [embedded, *(variable.value for variable in model.trainable_variables)]
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            loss = self._cross_entropy(model, embedded, batch)
        gradients = tape.gradient(loss, inputs)
        disguised = embedded + self._change(gradients[0])
        return (_known(loss, inputs, gradients) + self._cross_entropy(model, disguised, batch)) / 2

    def _change(self, gradient):
        """The gradient by embedded words `(batch, time, embedding)`, of each review at the wanted length."""
        wide = tf.stop_gradient(tf.cast(gradient, tf.float32))
        norm = tf.sqrt(tf.reduce_sum(tf.square(wide), axis=(1, 2), keepdims=True))
        return tf.cast(self._length * wide / (norm + 1e-12), gradient.dtype)

    def _cross_entropy(self, model, embedded, batch):
        logits = model.classify(embedded, mask=batch["mask"], training=True)
        targets = batch["targets"] * (1 - self._smoothing) + self._smoothing / logits.shape[-1]
        return ops.mean(ops.categorical_crossentropy(targets, logits, from_logits=True))


def _known(loss, inputs, gradients):
    """A loss whose gradients are known already, so that they are not computed once more."""
    products = [
        tf.reduce_sum(tf.cast(tf.stop_gradient(gradient) * value, tf.float32))
        for value, gradient in zip(inputs, gradients, strict=True)
        if gradient is not None
    ]
    linear = tf.add_n(products)
    return tf.stop_gradient(loss - linear) + linear


class Validation:
    """Fits what is not trained, then measures the calibrated probabilities of the validation reviews.

    The normalization is that of some training reviews, read with the weights that are evaluated; the
    temperature is that of the validation reviews.
    """

    def __init__(
        self,
        model: SentimentClassifier,
        train_sequences: Sequence[np.ndarray],
        sequences: Sequence[np.ndarray],
        targets: np.ndarray,
    ):
        self._model, self._sequences, self._targets = model, sequences, targets
        self._sample = train_sequences[:: -(-len(train_sequences) // NORMALIZED_BY)]

    def __call__(self, epoch: int) -> dict[str, float]:
        model = self._model
        model.normalize_by(self._sample)
        count = len(self._sequences)
        with tqdm(total=count, desc="validation", unit="review", leave=False, disable=None) as bar:
            logits = model.logits(self._sequences, bar.update)
        model.temperature = fit_temperature(logits, self._targets)
        measured = measure(softmax(logits / model.temperature), self._targets)
        return {
            "val_accuracy": measured.accuracy,
            "val_log_loss": measured.log_loss,
            "val_calibration_error": measured.calibration_error,
            "temperature": model.temperature,
        }
