"""The settings of a run: a frozen dataclass, from the command line and kept in the run folder."""

from dataclasses import dataclass
from pathlib import Path

from shared.runs.config import RunConfig, option

# What `charlm.data` reads.
SOURCES = "text files, folders, - for standard input, tfds:NAME, shakespeare, or hello"
CELL_NAMES = ("lstm", "gru", "simple")
OPTIMIZERS = ("muon", "adamw")
RATES = {"muon": 0.01, "adamw": 0.004}
PRECISIONS = ("auto", "float32", "mixed_bfloat16")


@dataclass(frozen=True)
class CharLMConfig(RunConfig):
    """Settings of one training run; every field is an option of `python -m charlm.train`."""

    data: tuple[str, ...] = option(("shakespeare",), SOURCES)
    pattern: str = option("*.txt", "which files of a folder")
    validation_fraction: float = option(0.1, "share of the text, at its end, that is validated on")
    test_fraction: float = option(0.0, "share of the text, at its very end, that is left for a test")
    min_count: int = option(
        1, "characters seen less often in the training text are spelled in bytes", least=1
    )
    cell: str = option("lstm", "recurrent cell", choices=CELL_NAMES)
    units: int = option(512, "width of each recurrent layer", least=1)
    depth: int = option(1, "recurrent layers", least=1)
    embedding_size: int = option(128, "width of the embedded characters, where they are not tied", least=1)
    tie_embeddings: bool = option(False, "one matrix for embedding and output; both have the layers' width")
    dropout: float = option(0.3, "rate between recurrent layers, one mask for all steps of a window", below=1)
    input_dropout: float = option(
        0.0, "rate on embedded characters, one mask for all steps of a window", below=1
    )
    output_dropout: float = option(
        0.3, "rate before the output layer, one mask for all steps of a window", below=1
    )
    recurrent_weight_dropout: float = option(0.0, "rate on the weights of the recurrent kernels", below=1)
    window: int = option(64, "steps through which the gradient goes back", least=2)
    batch_size: int = option(128, "streams of text that are read side by side", least=1)
    forget_rate: float = option(0.15, "chance of a stream to begin a window with a state of zeros", below=1)
    epochs: int = option(10, "passes over the training text", least=1)
    minutes: float | None = option(
        None, "minutes of training, evaluation not counted, in place of epochs", above=0
    )
    steps_between: int = option(
        0, "steps between evaluations; 0: a pass over the text, and 1000 steps at most", least=0
    )
    optimizer: str = option("muon", "what updates the weights", choices=OPTIMIZERS)
    learning_rate: float | None = option(None, "highest rate; none: 0.01 for muon, 0.004 for adamw", above=0)
    warmup: float = option(0.02, "share of the run in which the rate climbs to its highest", below=1)
    weight_decay: float = option(0.05, "decoupled weight decay of the matrices", least=0)
    clip_norm: float = option(1.0, "largest global norm of the gradient", above=0)
    average_decay: float = option(0.99, "decay of the weight average that is evaluated and kept", below=1)
    patience: int | None = option(None, "evaluations without a better one before the run stops", least=1)
    precision: str = option(
        "auto", "auto: mixed_bfloat16 where the processor is fast at it", choices=PRECISIONS
    )
    prompts: tuple[str, ...] = option(("",), "what the samples that are kept of the training begin with")
    sample_length: int = option(300, "characters of each of these samples; 0: none", least=0)
    seed: int = option(1, "seed of weights, dropout, data and samples", below=2**32)

    @property
    def highest_rate(self) -> float:
        """The learning rate, or where none is given, that of the optimizer."""
        return RATES[self.optimizer] if self.learning_rate is None else self.learning_rate


def recipe(data: tuple[str, ...]) -> CharLMConfig:
    """The settings that hold for a source where the command line says nothing else.

    Of five passes over the plays little can be learned by heart, so little is dropped. The lecture's "hello"
    has five characters: a small network learns them.
    """
    if Path(data[0]).exists():  # a path wins over a name
        return CharLMConfig(data=data)
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
