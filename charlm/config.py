"""The settings of a run: a frozen dataclass, filled from the command line and saved in the run folder."""

import os
from dataclasses import dataclass
from typing import Any, Self

from shared.data.encodings import ENCODING_HELP
from shared.runs.config import CELLS, PRECISIONS, RunConfig, option
from shared.runs.folder import RunFolder

# What `charlm.data` reads.
SOURCES = "text files, folders, - for standard input, tfds:NAME, shakespeare, or hello"
OPTIMIZERS = ("muon", "adamw")
RATES = {"muon": 0.01, "adamw": 0.004}
TEMPERATURE = 0.8  # of generated text, unless another one is given

# Settings of the network, by the names that `charlm.model.CharLM` takes.
NETWORK = (
    "cell",
    "units",
    "depth",
    "embedding_size",
    "tie_embeddings",
    "dropout",
    "input_dropout",
    "output_dropout",
    "recurrent_weight_dropout",
    "seed",
)
# Settings of the network that follow from the model in --init-from.
SHAPE = ("cell", "units", "depth", "embedding_size", "tie_embeddings")
# What training did before there were these settings. A run of that time continues as it began.
EARLIER = {"init_from": ""}
# How a text is read and split, by the names that `charlm.data.load_text` takes.
SPLITTING = ("pattern", "encoding", "validation_fraction", "test_fraction")


@dataclass(frozen=True)
class CharLMConfig(RunConfig):
    """Settings of one training run; every field is an option of `python -m charlm.train`."""

    data: tuple[str, ...] = option(("shakespeare",), SOURCES)
    pattern: str = option("*.txt", "files to read in a folder")
    encoding: str = option("", ENCODING_HELP)
    validation_fraction: float = option(0.1, "share of the text, at its end, for validation")
    test_fraction: float = option(0.0, "share of the text, after the validation part, kept for testing")
    init_from: str | None = option(
        None,
        "preset or run whose network, weights and characters to start from; a short text starts from the "
        "preset shakespeare; none: from nothing",
        suited=True,
    )
    min_count: int = option(
        1, "characters less frequent than this in the training text are spelled in bytes", least=1
    )
    cell: str = option("lstm", "recurrent cell", choices=CELLS)
    units: int = option(512, "width of each recurrent layer", least=1, most=16384)
    depth: int = option(1, "recurrent layers", least=1, most=1000)
    embedding_size: int = option(128, "width of the character embedding, unless tied", least=1, most=65536)
    tie_embeddings: bool = option(False, "share one matrix, as wide as the layers, for embedding and output")
    dropout: float = option(0.3, "rate between recurrent layers, one mask for all steps of a window", below=1)
    input_dropout: float = option(
        0.0, "rate on embedded characters, one mask for all steps of a window", below=1
    )
    output_dropout: float = option(
        0.3, "rate before the output layer, one mask for all steps of a window", below=1
    )
    recurrent_weight_dropout: float = option(0.0, "rate on the weights of the recurrent kernels", below=1)
    window: int = option(64, "steps that the gradient goes back in time", least=2)
    batch_size: int | None = option(None, "streams of text that are read in parallel", least=1, suited=True)
    forget_rate: float = option(
        0.15, "probability that a stream begins a window with a state of zeros", below=1
    )
    epochs: int | None = option(None, "passes over the training text", least=1, suited=True)
    minutes: float | None = option(
        None, "minutes of training, not counting evaluation, instead of epochs", above=0
    )
    steps_between: int = option(
        0, "steps between evaluations; 0: one pass over the text, but at most 1000 steps", least=0
    )
    optimizer: str = option("muon", "optimizer", choices=OPTIMIZERS)
    learning_rate: float | None = option(None, "peak rate", above=0, suited=True)
    warmup: float = option(0.02, "share of the run in which the rate rises to its peak", below=1)
    weight_decay: float = option(0.05, "decoupled weight decay of the matrices", least=0)
    clip_norm: float = option(1.0, "largest global norm of the gradient", above=0)
    average_decay: float = option(0.99, "decay of the weight average that is evaluated and saved", below=1)
    patience: int | None = option(
        None, "evaluations without improvement before the run stops; none: no limit", least=1
    )
    precision: str = option(
        "auto", "auto: mixed_bfloat16 where the processor is fast at it", choices=PRECISIONS
    )
    prompts: tuple[str, ...] = option(("",), "beginnings of the samples that are written during training")
    sample_length: int = option(300, "characters of each of these samples; 0: no samples", least=0)
    seed: int = option(1, "seed of weights, dropout, data and samples", below=2**32)

    @classmethod
    def from_run(cls, run: RunFolder) -> Self:
        return super().from_run(RunFolder(run.path, {**EARLIER, **run.config}))

    @property
    def highest_rate(self) -> float:
        """The learning rate; if none is given, that of the optimizer."""
        return RATES[self.optimizer] if self.learning_rate is None else self.learning_rate


def recipe(data: tuple[str, ...]) -> CharLMConfig:
    """The settings for a source of text, unless the command line says otherwise.

    In five passes over the plays little can be memorised, so dropout is low. The lecture's "hello" has five
    characters: a small network learns them.
    """
    if os.path.exists(data[0]):  # a path wins over a name
        return CharLMConfig(data=data)
    if data == ("shakespeare",):
        return CharLMConfig(data=data, init_from="", output_dropout=0.1, batch_size=128, epochs=5)
    if data != ("hello",):
        return CharLMConfig(data=data)
    return CharLMConfig(
        data=data,
        init_from="",
        units=16,
        depth=1,
        embedding_size=8,
        dropout=0.0,
        output_dropout=0.0,
        window=4,
        batch_size=1,
        forget_rate=0.2,
        epochs=400,
        steps_between=50,
        learning_rate=0.05,
        weight_decay=0.0,
        average_decay=0.9,
        precision="float32",
        prompts=("h",),
        sample_length=9,
    )


# A shorter training text is few data: a run then starts from the preset.
FEW_CHARACTERS = 1_000_000


def suited(characters: int, optimizer: str, start: str = "") -> dict[str, Any]:
    """The settings that suit the amount of text, for those that a user does not choose.

    A run has a number of steps rather than of passes: a short text is read more often, in smaller batches.
    The values were measured: `benchmarks/README.md`.

    Args:
        characters: of the training text.
        optimizer: `"muon"` or `"adamw"`.
        start: the model that the run starts from; empty: from nothing.

    Returns:
        Values by the names of settings of `CharLMConfig`.

    Example:

    >>> suited(5_000_000, "muon")["epochs"], suited(54_000, "muon", "shakespeare")["batch_size"]
    (10, 16)
    """
    is_few = characters < FEW_CHARACTERS
    return {
        "init_from": start,
        "batch_size": min(128, max(characters // 3_300, 1)) if is_few else 128,
        "epochs": (5 if start else 8) if is_few else 10,
        "learning_rate": RATES[optimizer] * (0.3 if start and is_few else 1.0),
    }
