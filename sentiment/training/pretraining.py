"""The language model with which a classifier begins: its texts and its training through time."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf

from sentiment.config import SentimentConfig
from sentiment.model.classifier import encode_words
from sentiment.model.language import WordLM
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary
from shared.training.loop import TrainResult, train
from shared.training.optimizers import make_muon
from shared.training.pace import cosine
from shared.training.precision import choose_policy
from shared.training.reporting import Size
from shared.training.windows import TextWindows

APP = "sentiment language model"
VALIDATED = 2**17  # words of the validation texts that are read after each epoch
STEPS_BETWEEN = 400  # steps between two validations
WORDS = Size("words", lambda batch: batch["forward"]["tokens"][:, 1:].size, "nats/word")

# What a language model and the classifier that it starts must have in common.
SHARED_SETTINGS = ("cell", "units", "depth", "bidirectional", "embedding_size")


def train_language_model(
    config: SentimentConfig,
    run: RunFolder,
    texts: Sequence[Sequence[str]],
    validation: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    resume: bool = False,
) -> TrainResult:
    """Trains a `WordLM` in a run folder of its own.

    Args:
        config: settings of the classifier's run.
        run: the folder.
        texts: the words of the texts to learn from.
        validation: the words of the texts by which the best weights are known.
        vocabulary: of the language model and the classifier.
        resume: go on from the run's last checkpoint.

    Returns:
        History, best epoch and its metrics.

    Raises:
        UserError: the texts are shorter than a window.
    """
    keras.utils.set_random_seed(config.seed)
    vocabulary.save(run.vocabulary_file)
    ids = joined(vocabulary, texts)
    held_out = joined(vocabulary, validation)
    windows = _Windows(ids, config)
    policy = choose_policy(config.precision)
    model = WordLM.from_settings(
        config, vocabulary, np.bincount(ids, minlength=len(vocabulary)), dtype=policy
    )
    return train(
        model,
        make_muon(config.pretrain_learning_rate, policy),
        language_loss,
        windows,
        epochs=None if config.pretrain_minutes else windows.epochs(config.pretrain_epochs),
        minutes=config.pretrain_minutes,
        steps_per_epoch=windows.steps_per_epoch,
        schedule=cosine(config.pretrain_learning_rate, 0.02),
        run=run,
        evaluate=Perplexity(model, held_out[:VALIDATED]),
        monitor="val_nats",
        mode="min",
        clip_norm=config.clip_norm,
        average=config.average_decay,
        initial_carry=model.get_initial_state(windows.batch_size),
        keep_carry=True,
        size=WORDS,
        resume=resume,
    )


def joined(vocabulary: Vocabulary, texts: Iterable[Sequence[str]]) -> np.ndarray:
    """The ids `(tokens,)` of texts one after the other, each from its start to its end."""
    ids = [encode_words(vocabulary, words) for words in texts]
    return np.concatenate(ids) if ids else np.zeros(0, np.int32)


class _Windows:
    """The windows of both directions of reading; the second reads the same text from its end."""

    def __init__(self, ids: np.ndarray, config: SentimentConfig):
        if len(ids) <= config.pretrain_window:
            raise UserError(
                f"The texts of the language model have {len(ids)} tokens. Expected more than "
                f"--pretrain-window {config.pretrain_window}: give more text, or a shorter window."
            )
        ways = {"forward": ids, "backward": ids[::-1]} if config.bidirectional else {"forward": ids}
        sizes = (config.pretrain_batch_size, config.pretrain_window)
        options = {"steps_between": 0, "forget_rate": 0.0, "seed": config.seed}
        self._windows = {way: TextWindows(ids, *sizes, **options) for way, ids in ways.items()}
        first = self._windows["forward"]
        self.batch_size, self.steps_per_pass = first.batch_size, first.steps_per_pass
        self.steps_per_epoch = min(STEPS_BETWEEN, self.steps_per_pass)
        for windows in self._windows.values():
            windows.steps_per_epoch = self.steps_per_epoch

    def epochs(self, passes: int) -> int:
        """Epochs of the training loop that make up so many passes over the text."""
        return -(-passes * self.steps_per_pass // self.steps_per_epoch)

    def __call__(self, epoch: int) -> Iterator[dict[str, dict[str, np.ndarray]]]:
        streams = {way: windows(epoch) for way, windows in self._windows.items()}
        for batches in zip(*streams.values(), strict=True):
            yield dict(zip(streams, batches, strict=True))


def language_loss(model: WordLM, batch, carry):
    """The mean loss of the directions, and the states to go on with."""
    losses, states = [], []
    for direction, way in enumerate(("forward", "backward")[: len(carry)]):
        loss, state = model.sampled_loss(batch[way]["tokens"], direction, carry[direction])
        losses.append(loss)
        states.append(state)
    return sum(losses) / len(losses), states


class Perplexity:
    """Nats a word of the validation texts, over the whole vocabulary, the mean of the directions."""

    def __init__(self, model: WordLM, ids: np.ndarray, window: int = 64, batch_size: int = 32):
        if len(ids) <= window:
            window, batch_size = len(ids) - 1, 1
        self._model, self._ids, self._window = model, ids, window
        self._batch_size = min(batch_size, (len(ids) - 1) // window)
        self._graph = tf.function(model.full_loss, autograph=False)

    def __call__(self, epoch: int) -> dict[str, float]:
        count = len(self._model.projections)
        nats = [self._direction(direction) for direction in range(count)]
        return {"val_nats": sum(nats) / count}

    def _direction(self, direction: int) -> float:
        ids = self._ids[::-1] if direction else self._ids
        distance = (len(ids) - 1) // self._batch_size
        begins = np.arange(self._batch_size)[:, None] * distance
        states, losses = self._model.get_initial_state(self._batch_size)[direction], []
        for first in range(0, distance - self._window + 1, self._window):
            tokens = ids[begins + first + np.arange(self._window + 1)]
            loss, states = self._graph(tf.constant(tokens), direction, states)
            losses.append(float(loss))
        return float(np.mean(losses))


def load_language_model(path: str, config: SentimentConfig) -> WordLM:
    """The best language model of a run, in float32, for a classifier with these settings.

    Raises:
        UserError: there is none, or it is of another form.
    """
    run = RunFolder.open(path, APP)
    theirs = SentimentConfig.from_run(run)
    differing = [
        f"{name} {getattr(theirs, name)}"
        for name in SHARED_SETTINGS
        if getattr(theirs, name) != getattr(config, name)
    ]
    if differing:
        raise UserError(
            f"The language model in {path} has {', '.join(differing)}. Give the classifier the same "
            "settings, or train another language model with --pretrain."
        )
    run.require_best_weights()  # a run without has nothing else worth an error
    vocabulary = Vocabulary.load(run.vocabulary_file)
    model = WordLM.from_settings(theirs, vocabulary)
    run.load_best_weights(model, len(vocabulary))
    return model


def language_run(config: SentimentConfig, path, resume: bool) -> RunFolder:
    """The folder of the language model that a run trains for itself."""
    return RunFolder.create(path, dataclasses.asdict(config), APP, resume=resume)
