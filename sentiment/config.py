"""The settings of a run: a frozen dataclass, from the command line and kept in the run folder."""

import math
from dataclasses import dataclass

from shared.runs.config import RunConfig, option

# What `sentiment.data` reads.
SOURCES = "imdb, tfds:NAME, .csv, .tsv or .jsonl files, or a folder of classes"
LANGUAGE_FOLDER = "language_model"  # of a run that trains one for itself
CELL_NAMES = ("lstm", "gru", "simple")
POOLINGS = ("concat", "last", "mean", "max", "attention")
PRECISIONS = ("auto", "float32", "mixed_bfloat16")

# The smallest values that make sense; NumPy takes no negative seeds.
_LEAST = {
    "min_count": 1,
    "max_vocabulary": 5,
    "units": 1,
    "depth": 1,
    "embedding_size": 1,
    "window": 2,
    "batch_size": 2,  # a batch of one has no spread to normalize by
    "epochs": 1,
    "patience": 1,
    "pretrain_window": 2,
    "pretrain_batch_size": 1,
    "pretrain_epochs": 1,
    "samples": 1,
    "seed": 0,
}
_RATES = (
    "dropout",
    "word_dropout",
    "input_dropout",
    "output_dropout",
    "recurrent_weight_dropout",
    "average_decay",
    "pretrain_dropout",
    "warmup",
    "label_smoothing",
    "gradual_unfreezing",
)
_POSITIVE = ("learning_rate", "clip_norm", "layer_rate_decay", "pretrain_learning_rate")


@dataclass(frozen=True)
class SentimentConfig(RunConfig):
    """Settings of one training run; every field is an option of `python -m sentiment.train`."""

    data: tuple[str, ...] = option(("imdb",), SOURCES)
    text_column: str = option("text", "column or field of the text")
    label_column: str = option("label", "column or field of the label")
    split_column: str = option("split", "column or field of the split, if there is one")
    validation_fraction: float = option(0.1, "share of the training data, where it has no validation part")
    min_count: int = option(2, "words seen less often in the training texts are unknown")
    max_vocabulary: int = option(30000, "most words, special ones included")
    cell: str = option("lstm", "recurrent cell", choices=CELL_NAMES)
    units: int = option(256, "width of each recurrence")
    depth: int = option(1, "recurrent layers")
    bidirectional: bool = option(True, "whether a second recurrence reads from the end")
    pooling: str = option("concat", "what becomes of all steps; concat: last, mean and max", choices=POOLINGS)
    embedding_size: int = option(256, "width of the embedded words")
    dropout: float = option(0.3, "rate between recurrent layers, one mask for all steps")
    word_dropout: float = option(0.1, "rate at which whole words are left blank")
    input_dropout: float = option(0.3, "rate on embedded words, one mask for all steps")
    output_dropout: float = option(0.5, "rate on the pooled vector")
    recurrent_weight_dropout: float = option(0.0, "rate on the weights of the recurrent kernels")
    window: int = option(
        512, "steps through which the gradient goes back; longer reviews carry their state on"
    )
    batch_size: int = option(64, "reviews in a batch")
    epochs: int = option(4, "passes over the training reviews")
    patience: int | None = option(None, "epochs without a better one before the run stops")
    learning_rate: float = option(0.001, "highest rate of AdamW")
    warmup: float = option(0.1, "share of the run in which the rate climbs to its highest")
    weight_decay: float = option(0.01, "decoupled weight decay of the matrices")
    clip_norm: float = option(1.0, "largest global norm of the gradient")
    label_smoothing: float = option(0.0, "share of each label that is spread over all")
    adversarial: float = option(0.0, "length of the adversarial change of the embedded words; 0: none")
    average_decay: float = option(0.99, "decay of the weight average that is evaluated and kept")
    pretrain: tuple[str, ...] = option(
        (), "texts for a language model, in addition to the training texts, whose weights the run starts with"
    )
    language_model: str | None = option(None, "folder of a language model that an earlier run trained")
    pretrain_epochs: int = option(3, "passes of the language model over its texts")
    pretrain_minutes: float | None = option(
        None, "minutes of training of the language model, in place of epochs"
    )
    pretrain_window: int = option(64, "steps of the language model through which the gradient goes back")
    pretrain_batch_size: int = option(128, "streams of text that the language model reads side by side")
    pretrain_learning_rate: float = option(0.01, "highest rate of the language model, for Muon")
    pretrain_dropout: float = option(0.1, "rate on the outputs of the language model's layers")
    samples: int = option(1024, "words against which the language model learns to tell the right one")
    unlabelled: tuple[str, ...] = option((), "texts that --teachers label, to be learned from as well")
    teachers: tuple[str, ...] = option(
        (), "presets, runs, exported models or nb-svm; their mean probabilities label --unlabelled"
    )
    layer_rate_decay: float = option(
        1.0, "rate of each pretrained layer in units of the one above it; the embedding is the lowest"
    )
    gradual_unfreezing: float = option(
        0.0, "share of the run after which the last of the pretrained layers learns, too"
    )
    precision: str = option(
        "auto", "auto: mixed_bfloat16 where the processor is fast at it", choices=PRECISIONS
    )
    seed: int = option(1, "seed of weights, dropout and the order of the data")

    def __post_init__(self):
        for name in ("data", "pretrain", "unlabelled", "teachers"):  # lists, as JSON gives them back
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            self._require(name, value is None or value >= least, f"be at least {least}")
        self._require("seed", self.seed < 2**32, "be below 2**32")
        for name in _POSITIVE:
            self._require(name, 0.0 < getattr(self, name) < math.inf, "be a number above 0")
        minutes = self.pretrain_minutes
        self._require("pretrain_minutes", minutes is None or 0.0 < minutes < math.inf, "be a number above 0")
        for name in ("weight_decay", "adversarial"):
            self._require(name, 0.0 <= getattr(self, name) < math.inf, "be a number of at least 0")
        for name in _RATES:
            self._require(name, 0.0 <= getattr(self, name) < 1.0, "lie in [0, 1)")
        self._require("validation_fraction", 0.0 < self.validation_fraction < 1.0, "lie in (0, 1)")
        for name, names in (("cell", CELL_NAMES), ("pooling", POOLINGS), ("precision", PRECISIONS)):
            self._require(name, getattr(self, name) in names, f"be one of {', '.join(names)}")
        if bool(self.unlabelled) != bool(self.teachers):
            raise ValueError("--unlabelled and --teachers need each other: give both or neither")
        if self.pretrain and self.language_model:
            raise ValueError(
                "--pretrain trains a language model and --language-model names one: give one of them"
            )
        if self.pretrain and self.bidirectional and self.depth > 1:
            raise ValueError(
                f"--pretrain needs --depth 1, not {self.depth}, or --no-bidirectional: "
                "a second layer would see the words that the language model predicts"
            )
