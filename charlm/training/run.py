"""One training run of a character model: its text, model, loss and validation."""

from pathlib import Path

import keras
import numpy as np
from keras import ops

from charlm.app import APP
from charlm.config import NETWORK, CharLMConfig
from charlm.data.ids import encode_split
from charlm.data.text_data import TextData
from charlm.model.char_lm import CharLM
from charlm.model.generate import generate
from charlm.model.scoring import Scorer
from charlm.text.characters import CharacterVocabulary
from charlm.training.probe import make_probe
from charlm.training.start import copy_weights, extend_vocabulary
from shared.runs.checksums import array_checksum
from shared.runs.folder import RunFolder
from shared.system.cli import NothingLearned, UserError
from shared.training.loop import TrainResult, train
from shared.training.losses import sequence_cross_entropy
from shared.training.optimizers import make_adamw, make_muon
from shared.training.pace import cosine
from shared.training.precision import choose_policy
from shared.training.replicas import Replicas
from shared.training.reporting import Size
from shared.training.windows import TextWindows

VALIDATED = 2**20  # tokens; of a longer validation text, only the first ones are read after each epoch
CHARACTERS = Size("characters", lambda batch: batch["tokens"][:, 1:].size, "nats/character")


def train_charlm(
    config: CharLMConfig,
    run: RunFolder,
    data: TextData,
    *,
    resume: bool = False,
    cache_dir: Path | None = None,
    save_every: float | None = None,
    replicas: Replicas | None = None,
    diagnostics: bool = True,
) -> TrainResult:
    """Trains a character model in a run folder.

    Args:
        config: settings of the run.
        run: its folder.
        data: the text.
        resume: continue from the run's last checkpoint, if it has one.
        cache_dir: folder for the ids of a text that is too long for memory.
        save_every: minutes between two checkpoints within an epoch; None: only after each epoch.
        replicas: devices and machines that share each batch; None: one device.
        diagnostics: whether to draw curves, and measure gradients and matrices on the way.

    Returns:
        History, best epoch and its metrics.

    Raises:
        UserError: the text cannot be used, or the settings do not fit it.
        NothingLearned: the run is saved, and is no better than character frequencies, or than its start.
    """
    resume = resume and run.has_checkpoint
    keras.utils.set_random_seed(config.seed)
    print(f"{data.name}: {data.rule}.", flush=True)
    _check_validation(data)
    start = None if resume or not config.init_from else APP.load(config.init_from, trainable=True)
    vocabulary = _vocabulary(config, run, data, resume, start)
    ids = {split: encode_split(data, split, vocabulary, cache_dir) for split in ("train", "validation")}
    windows = TextWindows(
        ids["train"],
        config.batch_size,
        config.window,
        steps_between=config.steps_between,
        forget_rate=config.forget_rate,
        seed=config.seed,
    )
    policy = choose_policy(config.precision)
    model = CharLM(vocabulary, **config.pick(NETWORK), dtype=policy)
    if start:
        copy_weights(start, model, config.seed)
    validation = Validation(model, ids["validation"][:VALIDATED], run, config)
    baseline = frequency_nats(ids["train"], validation.ids, vocabulary)
    if start:
        baseline = validation(0)["val_nats"]
        print(f"Before training: {baseline:.4f} nats per character of the validation text.", flush=True)
    elif not resume:
        validation.show("untrained")
    result = train(
        model,
        make_optimizer(config, policy),
        language_loss,
        windows,
        epochs=None if config.minutes else _epochs(config, windows),
        minutes=config.minutes,
        schedule=cosine(config.highest_rate, config.warmup),
        steps_per_epoch=windows.steps_per_epoch,
        run=run,
        evaluate=validation,
        monitor="val_nats",
        mode="min",
        patience=config.patience,
        clip_norm=config.clip_norm,
        average=config.average_decay,
        initial_carry=model.get_initial_state(windows.batch_size),
        keep_carry=True,
        size=CHARACTERS,
        resume=resume,
        save_every=save_every,
        data={
            "training text": array_checksum(ids["train"]),
            "validation text": array_checksum(ids["validation"]),
        },
        replicas=replicas,
        probe=make_probe(model, ids["validation"]),
        diagnostics=diagnostics,
    )
    _check_learned(result, baseline, config.init_from if start else "", run)
    return result


def _check_learned(result: TrainResult, baseline: float, start: str | None, run: RunFolder) -> None:
    nats = result.best_metrics["val_nats"]
    if nats < baseline:
        return
    what = f"{start} itself" if start else "the frequencies of characters alone"
    advice = "Try a lower --learning-rate" if start else "Give more text, more --epochs or another rate"
    raise NothingLearned(
        f"the validation text has {nats:.4f} nats per character, and with {what} {baseline:.4f}. The run is "
        f"saved in {run.path}. {advice}."
    )


def frequency_nats(train: np.ndarray, ids: np.ndarray, vocabulary: CharacterVocabulary) -> float:
    """The nats per character of a text with the frequencies of tokens in the training text alone.

    Args:
        train: `(tokens,)` ids of the training text; each token counts once more than it occurs.
        ids: `(tokens,)` ids of the text; the first is not predicted.
        vocabulary: of both.
    """
    counts = 1.0 + np.bincount(train, minlength=len(vocabulary))
    nats = -np.log(counts / counts.sum())[ids[1:]].sum()
    return float(nats / max(len(vocabulary.decode(ids[1:])), 1))


def _check_validation(data: TextData) -> None:
    if "validation" not in data.splits:
        raise UserError(
            f"{data.name} has no validation part, which is needed to choose the best weights. "
            "Give a --validation-fraction above 0."
        )
    if data.characters("validation") < 2:
        raise UserError(
            f"The validation part of {data.name} has one character, and the first is not predicted. Expected "
            "at least two: give more text, or a larger --validation-fraction."
        )


def _vocabulary(config, run, data, resume, start) -> CharacterVocabulary:
    if resume:
        return CharacterVocabulary.load(run.vocabulary_file)
    vocabulary = CharacterVocabulary.build(data.chunks("train"), min_count=config.min_count)
    if start:
        vocabulary = extend_vocabulary(config.init_from, start.vocabulary, vocabulary)
    vocabulary.save(run.vocabulary_file)
    return vocabulary


def _epochs(config: CharLMConfig, windows: TextWindows) -> int:
    """The number of epochs of the training loop that cover all passes over the text."""
    return -(-config.epochs * windows.steps_per_pass // windows.steps_per_epoch)


def make_optimizer(config: CharLMConfig, policy: str = "float32") -> keras.optimizers.Optimizer:
    """Muon or AdamW with weight decay of the matrices only; a schedule sets the rate."""
    if config.optimizer == "muon":
        return make_muon(config.highest_rate, policy, config.weight_decay)
    return make_adamw(config.highest_rate, config.weight_decay, beta_2=0.99)


def language_loss(model: CharLM, batch, carry):
    """Mean cross entropy of the next tokens in nats, and the state for the next window."""
    tokens = batch["tokens"]  # (batch, window + 1)
    keeps = ops.expand_dims(batch["keeps_state"], -1)  # (batch, 1)
    carry = keras.tree.map_structure(lambda state: ops.where(keeps, state, ops.zeros_like(state)), carry)
    logits, states = model.logits(tokens[:, :-1], carry, training=True)  # (batch, window, vocabulary)
    return sequence_cross_entropy(tokens[:, 1:], logits), states


class Validation:
    """Nats per character of the validation text, from zeros every 256 tokens, and samples to read."""

    def __init__(self, model: CharLM, ids: np.ndarray, run: RunFolder, config: CharLMConfig):
        self._model, self.ids, self._run, self._config = model, ids, run, config
        self._scorer = Scorer(model)

    def __call__(self, epoch: int) -> dict[str, float]:
        score = self._scorer.windowed(self.ids)
        title = f"epoch {epoch}" if epoch else "untrained"
        self.show(f"{title}, {score.nats_per_character:.4f} nats per character")
        return {"val_nats": score.nats_per_character}

    def show(self, title: str) -> None:
        """Appends samples to `samples.txt`, always from the same prompts and seed."""
        if not self._config.sample_length:
            return
        prompts = self._config.prompts
        texts = generate(self._model, prompts, self._config.sample_length, seed=self._config.seed)
        pages = "\n\n".join(prompt + text for prompt, text in zip(prompts, texts, strict=True))
        self._run.append_samples(f"--- {title}\n{pages}\n")
