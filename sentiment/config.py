"""The settings of a run: a frozen dataclass, read from the command line and saved in the run folder."""

from dataclasses import dataclass
from typing import Self

from shared.data.encodings import DELIMITER_HELP, ENCODING_HELP
from shared.runs.config import CELLS, PRECISIONS, RunConfig, option
from shared.runs.folder import RunFolder

# What `sentiment.data` reads.
SOURCES = "imdb, tfds:NAME, .csv, .tsv or .jsonl files, or a folder of classes"
LANGUAGE_FOLDER = "language_model"  # in a run folder: the run of the language model trained for it
# How tables and text files are read, by the names that `sentiment.data.load_reviews` takes.
FORMAT = ("encoding", "delimiter")
READING = (*FORMAT, "labels")
LABELS_HELP = "new names for the labels of the data, such as 0=negative,1=positive"
POOLINGS = ("concat", "last", "mean", "max", "attention")
LAYERS = ("all", "output", "temperature")
EPOCHS = ("best", "last")
# What runs of earlier versions did where later ones have a setting.
EARLIER = {
    "init_from": "",
    "layers": "all",
    "saved_epoch": "best",
    "batch_size": 64,
    "epochs": 4,
    "learning_rate": 0.001,
}
# Settings that `shared.layers.RecurrentStack` takes, and all that `SentimentClassifier` takes.
STACK = ("cell", "units", "depth", "bidirectional", "dropout", "recurrent_weight_dropout", "seed")
NETWORK = (
    *STACK,
    "pooling",
    "embedding_size",
    "word_dropout",
    "input_dropout",
    "output_dropout",
    "window",
    "length_power",
    "most_surprise",
)


# Settings of which a model's weights have their shapes.
SHAPE = ("cell", "units", "depth", "bidirectional", "pooling", "embedding_size")


@dataclass(frozen=True)
class SentimentConfig(RunConfig):
    """Settings of one training run; every field is an option of `python -m sentiment.train`."""

    data: tuple[str, ...] = option(("imdb",), SOURCES)
    text_column: str = option("text", "column or field of the text")
    label_column: str = option("label", "column or field of the label")
    split_column: str = option("split", "column or field of the split, if there is one")
    encoding: str = option("", ENCODING_HELP)
    delimiter: str = option("", DELIMITER_HELP)
    labels: str = option("", LABELS_HELP)
    validation_fraction: float = option(
        0.1, "share of train to cut off for validation, if the data have no validation part", above=0, below=1
    )
    init_from: str | None = option(
        None, "preset or run to start from, with its words and its network; none: from nothing", suited=True
    )
    layers: str | None = option(
        None,
        "what is trained: all; the output layer alone, which takes one reading of the reviews; or the "
        "temperature and its dependence on length, by the validation texts and pieces of them",
        choices=LAYERS,
        suited=True,
    )
    min_count: int = option(2, "words seen less often in the training texts become unknown", least=1)
    max_vocabulary: int = option(30000, "largest vocabulary, special tokens included", least=5)
    cell: str = option("lstm", "recurrent cell", choices=CELLS)
    units: int = option(256, "width of each recurrence", least=1, most=16384)
    depth: int = option(1, "recurrent layers", least=1, most=1000)
    bidirectional: bool = option(True, "whether a second recurrence reads the text backwards")
    pooling: str = option(
        "concat", "how step outputs are pooled; concat: last, mean and max", choices=POOLINGS
    )
    embedding_size: int = option(256, "width of embedded words", least=1, most=65536)
    dropout: float = option(0.3, "rate between recurrent layers, one mask for all steps", below=1)
    word_dropout: float = option(0.1, "rate at which whole embedded words are zeroed", below=1)
    input_dropout: float = option(0.3, "rate on embedded words, one mask for all steps", below=1)
    output_dropout: float = option(0.5, "rate on the pooled vector", below=1)
    recurrent_weight_dropout: float = option(0.0, "rate on the weights of the recurrent kernels", below=1)
    window: int = option(
        512, "steps of truncated backpropagation; longer reviews carry their state on", least=2
    )
    batch_size: int | None = option(None, "reviews in a batch", least=2, suited=True)
    epochs: int | None = option(None, "passes over the training reviews", least=1, suited=True)
    saved_epoch: str | None = option(
        None, "whose weights are saved: best by the validation texts, or last", choices=EPOCHS, suited=True
    )
    patience: int | None = option(None, "epochs without improvement before the run stops", least=1)
    learning_rate: float | None = option(None, "highest rate of AdamW", above=0, suited=True)
    warmup: float = option(0.1, "share of the run over which the rate rises to its highest", below=1)
    weight_decay: float = option(0.01, "decoupled weight decay of the matrices", least=0)
    clip_norm: float = option(1.0, "largest global norm of the gradient", above=0)
    label_smoothing: float = option(0.0, "probability mass spread over all labels", below=1)
    adversarial: float = option(
        0.0, "length of the adversarial perturbation of the embedded words; 0: none", least=0
    )
    average_decay: float = option(0.99, "decay of the weight average that is evaluated and saved", below=1)
    pretrain: tuple[str, ...] = option(
        (), "texts for a language model, besides the training texts; the run starts with its weights"
    )
    language_model: str | None = option(None, "folder of a language model that an earlier run trained")
    pretrain_epochs: int = option(3, "passes of the language model over its texts", least=1)
    pretrain_minutes: float | None = option(
        None, "minutes to train the language model, in place of epochs", above=0
    )
    pretrain_window: int = option(64, "steps of truncated backpropagation in the language model", least=2)
    pretrain_batch_size: int = option(
        128, "streams of text that the language model reads in parallel", least=1
    )
    pretrain_learning_rate: float = option(0.01, "highest rate of the language model's Muon", above=0)
    pretrain_dropout: float = option(0.1, "rate on the outputs of the language model's layers", below=1)
    samples: int = option(1024, "sampled words among which the language model finds the next one", least=1)
    unlabelled: tuple[str, ...] = option((), "texts that --teachers label, to train on as well")
    teachers: tuple[str, ...] = option(
        (), "presets, runs, exported models or nb-svm; their mean probabilities label --unlabelled"
    )
    pieces: float = option(
        0.0,
        "share of the reviews of which an epoch reads only a piece, 1 to 4 sentences, so that the model "
        "reads short texts well, too; needs --init-from",
        most=1,
        least=0,
    )
    rules: float = option(
        0.0,
        "share of those pieces that are sentences made by rules about negation and contrast, in English",
        below=1,
    )
    length_power: float = option(
        0.0,
        "multiplies the logits of a text of n tokens by (n / 250)^Q, so that the model is less sure of short "
        "texts",
        below=1,
    )
    most_surprise: float | None = option(
        None,
        "mean surprise of a text's words, in nats, above which it gets no label; by default 7, or more where "
        "the data need it",
        above=0,
    )
    layer_rate_decay: float = option(
        1.0,
        "rate of each pretrained layer, as a factor of the one above it; the embedding is the lowest",
        above=0,
    )
    gradual_unfreezing: float = option(
        0.0, "share of the run after which the last pretrained layer is trained, too", below=1
    )
    precision: str = option(
        "auto", "auto: mixed_bfloat16 where the hardware is fast at it", choices=PRECISIONS
    )
    seed: int = option(1, "seed of weights, dropout and data order", below=2**32)

    def __post_init__(self):
        super().__post_init__()
        if bool(self.unlabelled) != bool(self.teachers):
            raise ValueError("--unlabelled and --teachers need each other: give both or neither")
        if self.rules and not self.pieces:
            raise ValueError("--rules makes some of the pieces: it needs --pieces")
        if self.pieces and (self.init_from == "" or self.layers in ("output", "temperature")):
            raise ValueError(
                "--pieces trains all layers of a model that is trained already: name one by --init-from, and "
                "omit --layers"
            )
        if self.pretrain and self.language_model:
            raise ValueError(
                "--pretrain trains a language model and --language-model names one: give one of them"
            )
        if self.pretrain and self.bidirectional and self.depth > 1:
            raise ValueError(
                f"--pretrain needs --depth 1, not {self.depth}, or --no-bidirectional: "
                "a second layer would see the words that the language model predicts"
            )
        if self.init_from and (self.pretrain or self.language_model):
            raise ValueError(
                f"--init-from {self.init_from} is a whole classifier: omit --pretrain and --language-model, "
                "or give --init-from none"
            )
        if self.layers == "temperature" and self.init_from == "":
            raise ValueError("--layers temperature calibrates a trained model: name one by --init-from")
        if self.layers == "output" and self.init_from == "" and not (self.pretrain or self.language_model):
            raise ValueError("--layers output needs a trained network to read with: name one by --init-from")
        if self.layers in ("output", "temperature") and (
            self.batch_size or self.epochs or self.learning_rate
        ):
            raise ValueError(
                f"--layers {self.layers} has no steps: omit --batch-size, --epochs and --learning-rate, or "
                "give --layers all"
            )

    @classmethod
    def from_run(cls, run: RunFolder) -> Self:
        return super().from_run(RunFolder(run.path, {**EARLIER, **run.config}))
