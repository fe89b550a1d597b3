"""The settings of a run: a frozen dataclass, from the command line and kept in the run folder."""

from dataclasses import dataclass

from shared.runs.config import RunConfig, option

# What `sentiment.data` reads.
SOURCES = "imdb, tfds:NAME, .csv, .tsv or .jsonl files, or a folder of classes"
LANGUAGE_FOLDER = "language_model"  # of a run that trains one for itself
CELL_NAMES = ("lstm", "gru", "simple")
POOLINGS = ("concat", "last", "mean", "max", "attention")
PRECISIONS = ("auto", "float32", "mixed_bfloat16")


@dataclass(frozen=True)
class SentimentConfig(RunConfig):
    """Settings of one training run; every field is an option of `python -m sentiment.train`."""

    data: tuple[str, ...] = option(("imdb",), SOURCES)
    text_column: str = option("text", "column or field of the text")
    label_column: str = option("label", "column or field of the label")
    split_column: str = option("split", "column or field of the split, if there is one")
    validation_fraction: float = option(
        0.1, "share of the training data, where it has no validation part", above=0, below=1
    )
    min_count: int = option(2, "words seen less often in the training texts are unknown", least=1)
    max_vocabulary: int = option(30000, "most words, special ones included", least=5)
    cell: str = option("lstm", "recurrent cell", choices=CELL_NAMES)
    units: int = option(256, "width of each recurrence", least=1)
    depth: int = option(1, "recurrent layers", least=1)
    bidirectional: bool = option(True, "whether a second recurrence reads from the end")
    pooling: str = option("concat", "what becomes of all steps; concat: last, mean and max", choices=POOLINGS)
    embedding_size: int = option(256, "width of the embedded words", least=1)
    dropout: float = option(0.3, "rate between recurrent layers, one mask for all steps", below=1)
    word_dropout: float = option(0.1, "rate at which whole words are left blank", below=1)
    input_dropout: float = option(0.3, "rate on embedded words, one mask for all steps", below=1)
    output_dropout: float = option(0.5, "rate on the pooled vector", below=1)
    recurrent_weight_dropout: float = option(0.0, "rate on the weights of the recurrent kernels", below=1)
    window: int = option(
        512, "steps through which the gradient goes back; longer reviews carry their state on", least=2
    )
    batch_size: int = option(64, "reviews in a batch", least=2)
    epochs: int = option(4, "passes over the training reviews", least=1)
    patience: int | None = option(None, "epochs without a better one before the run stops", least=1)
    learning_rate: float = option(0.001, "highest rate of AdamW", above=0)
    warmup: float = option(0.1, "share of the run in which the rate climbs to its highest", below=1)
    weight_decay: float = option(0.01, "decoupled weight decay of the matrices", least=0)
    clip_norm: float = option(1.0, "largest global norm of the gradient", above=0)
    label_smoothing: float = option(0.0, "share of each label that is spread over all", below=1)
    adversarial: float = option(
        0.0, "length of the adversarial change of the embedded words; 0: none", least=0
    )
    average_decay: float = option(0.99, "decay of the weight average that is evaluated and kept", below=1)
    pretrain: tuple[str, ...] = option(
        (), "texts for a language model, in addition to the training texts, whose weights the run starts with"
    )
    language_model: str | None = option(None, "folder of a language model that an earlier run trained")
    pretrain_epochs: int = option(3, "passes of the language model over its texts", least=1)
    pretrain_minutes: float | None = option(
        None, "minutes of training of the language model, in place of epochs", above=0
    )
    pretrain_window: int = option(
        64, "steps of the language model through which the gradient goes back", least=2
    )
    pretrain_batch_size: int = option(
        128, "streams of text that the language model reads side by side", least=1
    )
    pretrain_learning_rate: float = option(0.01, "highest rate of the language model, for Muon", above=0)
    pretrain_dropout: float = option(0.1, "rate on the outputs of the language model's layers", below=1)
    samples: int = option(
        1024, "words against which the language model learns to tell the right one", least=1
    )
    unlabelled: tuple[str, ...] = option((), "texts that --teachers label, to be learned from as well")
    teachers: tuple[str, ...] = option(
        (), "presets, runs, exported models or nb-svm; their mean probabilities label --unlabelled"
    )
    layer_rate_decay: float = option(
        1.0,
        "rate of each pretrained layer in units of the one above it; the embedding is the lowest",
        above=0,
    )
    gradual_unfreezing: float = option(
        0.0, "share of the run after which the last of the pretrained layers learns, too", below=1
    )
    precision: str = option(
        "auto", "auto: mixed_bfloat16 where the processor is fast at it", choices=PRECISIONS
    )
    seed: int = option(1, "seed of weights, dropout and the order of the data", below=2**32)

    def __post_init__(self):
        super().__post_init__()
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
