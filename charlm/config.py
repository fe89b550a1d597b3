"""The settings of a run: a frozen dataclass, from the command line and kept in the run folder."""

import math
from dataclasses import dataclass

from shared.runs.config import RunConfig, option

# What `charlm.data` reads.
SOURCES = "text files, folders, - for standard input, tfds:NAME, shakespeare, or hello"
CELL_NAMES = ("lstm", "gru", "simple")
OPTIMIZERS = ("muon", "adamw")
RATES = {"muon": 0.01, "adamw": 0.004}
PRECISIONS = ("auto", "float32", "mixed_bfloat16")

# The smallest values that make sense; NumPy takes no negative seeds.
_LEAST = {
    "min_count": 1,
    "units": 1,
    "depth": 1,
    "embedding_size": 1,
    "window": 2,
    "batch_size": 1,
    "epochs": 1,
    "steps_between": 0,
    "patience": 1,
    "sample_length": 0,
    "seed": 0,
}
_RATES = (
    "dropout",
    "input_dropout",
    "output_dropout",
    "recurrent_weight_dropout",
    "average_decay",
    "warmup",
    "forget_rate",
)


@dataclass(frozen=True)
class CharLMConfig(RunConfig):
    """Settings of one training run; every field is an option of `python -m charlm.train`."""

    data: tuple[str, ...] = option(("shakespeare",), SOURCES)
    pattern: str = option("*.txt", "which files of a folder")
    validation_fraction: float = option(0.1, "share of the text, at its end, that is validated on")
    test_fraction: float = option(0.0, "share of the text, at its very end, that is left for a test")
    min_count: int = option(1, "characters seen less often in the training text are spelled in bytes")
    cell: str = option("lstm", "recurrent cell", choices=CELL_NAMES)
    units: int = option(512, "width of each recurrent layer")
    depth: int = option(1, "recurrent layers")
    embedding_size: int = option(128, "width of the embedded characters, where they are not tied")
    tie_embeddings: bool = option(False, "one matrix for embedding and output; both have the layers' width")
    dropout: float = option(0.3, "rate between recurrent layers, one mask for all steps of a window")
    input_dropout: float = option(0.0, "rate on embedded characters, one mask for all steps of a window")
    output_dropout: float = option(0.3, "rate before the output layer, one mask for all steps of a window")
    recurrent_weight_dropout: float = option(0.0, "rate on the weights of the recurrent kernels")
    window: int = option(64, "steps through which the gradient goes back")
    batch_size: int = option(128, "streams of text that are read side by side")
    forget_rate: float = option(0.15, "chance of a stream to begin a window with a state of zeros")
    epochs: int = option(10, "passes over the training text")
    minutes: float | None = option(None, "minutes of training, evaluation not counted, in place of epochs")
    steps_between: int = option(
        0, "steps between evaluations; 0: a pass over the text, and 1000 steps at most"
    )
    optimizer: str = option("muon", "what updates the weights", choices=OPTIMIZERS)
    learning_rate: float | None = option(None, "highest rate; none: 0.01 for muon, 0.004 for adamw")
    warmup: float = option(0.02, "share of the run in which the rate climbs to its highest")
    weight_decay: float = option(0.05, "decoupled weight decay of the matrices")
    clip_norm: float = option(1.0, "largest global norm of the gradient")
    average_decay: float = option(0.99, "decay of the weight average that is evaluated and kept")
    patience: int | None = option(None, "evaluations without a better one before the run stops")
    precision: str = option(
        "auto", "auto: mixed_bfloat16 where the processor is fast at it", choices=PRECISIONS
    )
    prompts: tuple[str, ...] = option(("",), "what the samples that are kept of the training begin with")
    sample_length: int = option(300, "characters of each of these samples; 0: none")
    seed: int = option(1, "seed of weights, dropout, data and samples")

    def __post_init__(self):
        for name in ("data", "prompts"):  # lists, as JSON gives them back
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            self._require(name, value is None or value >= least, f"be at least {least}")
        self._require("seed", self.seed < 2**32, "be below 2**32")
        rate = self.learning_rate
        self._require("learning_rate", rate is None or 0.0 < rate < math.inf, "be a number above 0")
        self._require("clip_norm", 0.0 < self.clip_norm < math.inf, "be a number above 0")
        self._require("weight_decay", 0.0 <= self.weight_decay < math.inf, "be a number of at least 0")
        self._require("minutes", self.minutes is None or 0.0 < self.minutes < math.inf, "be a number above 0")
        for name in _RATES:
            self._require(name, 0.0 <= getattr(self, name) < 1.0, "lie in [0, 1)")
        for name, names in (("cell", CELL_NAMES), ("optimizer", OPTIMIZERS), ("precision", PRECISIONS)):
            self._require(name, getattr(self, name) in names, f"be one of {', '.join(names)}")

    @property
    def highest_rate(self) -> float:
        """The learning rate, or where none is given, that of the optimizer."""
        return RATES[self.optimizer] if self.learning_rate is None else self.learning_rate


def recipe(data: tuple[str, ...]) -> CharLMConfig:
    """The settings that hold for a source where the command line says nothing else.

    Of five passes over the plays little can be learned by heart, so little is dropped. The lecture's "hello"
    has five characters: a small network learns them.
    """
    if data == ("shakespeare",):
        return CharLMConfig(data=data, output_dropout=0.1, epochs=5)
    if data != ("hello",):
        return CharLMConfig(data=data)
    return CharLMConfig(
        data=data,
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
