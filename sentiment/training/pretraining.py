"""The language model that a classifier starts from: its texts, its training and its validation."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from sentiment.config import FORMAT, LANGUAGE_FOLDER, SentimentConfig
from sentiment.data.load import load_texts
from sentiment.model.language import WordLM
from sentiment.text.words import encode_words
from sentiment.training.preparation import split_all
from shared.runs.checksums import array_checksum
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.text.vocabulary import Vocabulary
from shared.training.loop import TrainResult, train
from shared.training.optimizers import make_muon
from shared.training.pace import cosine
from shared.training.precision import choose_policy
from shared.training.replicas import Replicas
from shared.training.reporting import Size
from shared.training.windows import TextWindows

APP = "sentiment language model"
VALIDATED = 2**17  # words of the validation texts read after each epoch
STEPS_BETWEEN = 400  # steps between two validations
WORDS = Size("words", lambda batch: batch["forward"]["tokens"][:, 1:].size, "nats/word")

# Settings that a language model and the classifier that starts from it must have in common.
SHARED_SETTINGS = ("cell", "units", "depth", "bidirectional", "embedding_size")


def prepare_language_model(
    config: SentimentConfig,
    run: RunFolder,
    words: Mapping[str, Sequence[Sequence[str]]],
    resume: bool,
    save_every: float | None = None,
    replicas: Replicas | None = None,
) -> WordLM | None:
    """The language model that a run starts from, trained now unless that is done; None if it has none.

    Args:
        config: settings of the run.
        run: its folder, in which the language model has its own.
        words: the words of each review, by the names of the splits.
        resume: whether the run continues.
        save_every: minutes between two checkpoints within an epoch; None: only after each epoch.
        replicas: devices and machines that share each batch; None: one device.

    Raises:
        UserError: the named language model cannot be used, or there are no texts to train one on.
    """
    if config.language_model:
        return load_language_model(config.language_model, config)
    if not config.pretrain:
        return None
    path = run.path / LANGUAGE_FOLDER
    if not run.has_checkpoint:
        resume = resume and (path / "config.json").exists()
        texts = _texts_to_learn_from(config, words)
        order = np.random.default_rng(config.seed).permutation(len(texts))
        language = language_run(config, path, resume)
        vocabulary = Vocabulary.build(texts, config.min_count, config.max_vocabulary)
        shuffled = [texts[index] for index in order]
        train_language_model(
            config,
            language,
            shuffled,
            words["validation"],
            vocabulary,
            resume=language.has_checkpoint,
            save_every=save_every,
            replicas=replicas,
        )
    return load_language_model(path, config)


def _texts_to_learn_from(config, words) -> list[tuple[str, ...]]:
    """The words of each text that the language model is trained on, once; none of validation or test."""
    unlabelled = split_all(load_texts(config.pretrain, **config.pick(("text_column", *FORMAT))))
    texts = dict.fromkeys(map(tuple, [*words["train"], *unlabelled]))
    for words_of_text in [*words["validation"], *words["test"]]:
        texts.pop(tuple(words_of_text), None)
    return list(texts)


def train_language_model(
    config: SentimentConfig,
    run: RunFolder,
    texts: Sequence[Sequence[str]],
    validation: Sequence[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    resume: bool = False,
    save_every: float | None = None,
    replicas: Replicas | None = None,
) -> TrainResult:
    """Trains a `WordLM` in a run folder of its own.

    Args:
        config: settings of the classifier's run.
        run: the folder.
        texts: the words of each text to train on.
        validation: the words of each validation text.
        vocabulary: of the language model and the classifier.
        resume: continue from the run's last checkpoint.
        save_every: minutes between two checkpoints within an epoch; None: only after each epoch.
        replicas: devices and machines that share each batch; None: one device.

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
        save_every=save_every,
        data={"training texts": array_checksum(ids), "validation texts": array_checksum(held_out)},
        replicas=replicas,
    )


def joined(vocabulary: Vocabulary, texts: Iterable[Sequence[str]]) -> np.ndarray:
    """The ids `(tokens,)` of texts one after the other, each from its start to its end."""
    ids = [encode_words(vocabulary, words) for words in texts]
    return np.concatenate(ids) if ids else np.zeros(0, np.int32)


class _Windows:
    """The windows of both directions; the second reads the same text backwards."""

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
        """Epochs of the training loop in this many passes over the text."""
        return -(-passes * self.steps_per_pass // self.steps_per_epoch)

    def __call__(self, epoch: int) -> Iterator[dict[str, dict[str, np.ndarray]]]:
        streams = {way: windows(epoch) for way, windows in self._windows.items()}
        for batches in zip(*streams.values(), strict=True):
            yield dict(zip(streams, batches, strict=True))


def language_loss(model: WordLM, batch, carry):
    """The mean loss of the directions, and their states for the next window."""
    losses, states = [], []
    for direction, way in enumerate(("forward", "backward")[: len(carry)]):
        loss, state = model.sampled_loss(batch[way]["tokens"], direction, carry[direction])
        losses.append(loss)
        states.append(state)
    return sum(losses) / len(losses), states


class Perplexity:
    """Nats per word of the validation texts, over the whole vocabulary, the mean of the directions."""

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


def load_language_model(path: str | Path, config: SentimentConfig) -> WordLM:
    """The best language model of a run, in float32, for a classifier with these settings.

    Raises:
        UserError: there is none, or it does not fit these settings.
    """
    run = RunFolder.open(path, APP)
    theirs = SentimentConfig.from_run(run)
    expected = config.pick(SHARED_SETTINGS)
    differing = [
        f"{name} {value}" for name, value in theirs.pick(SHARED_SETTINGS).items() if value != expected[name]
    ]
    if differing:
        raise UserError(
            f"The language model in {path} has {', '.join(differing)}. Give the classifier the same "
            "settings, or train another language model with --pretrain."
        )
    run.require_best_weights()  # if there are none, nothing else is worth an error
    vocabulary = Vocabulary.load(run.vocabulary_file)
    model = WordLM.from_settings(theirs, vocabulary)
    run.load_best_weights(model, len(vocabulary))
    return model


def language_run(config: SentimentConfig, path: Path, resume: bool) -> RunFolder:
    """The folder of the language model that a run trains for itself."""
    return RunFolder.create(path, dataclasses.asdict(config), APP, resume=resume)
