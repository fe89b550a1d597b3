"""The settings of a training run, and the recipes for kinds of data."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Self

from captioning.config.images import LARGEST_MAX_PIXELS, MAX_PIXELS
from shared.data.encodings import DELIMITER_HELP, ENCODING_HELP
from shared.runs.config import CELLS, RunConfig, option
from shared.runs.folder import RunFolder
from shared.text.tokens import TOKENIZERS

# What `captioning.data` reads.
SOURCES = "a Flickr8k folder, a .json, .jsonl or .csv file of captions, tfds:NAME, or shapes"
DECODER_NAMES = ("late_attention", "soft_attention", "show_and_tell")
# Settings that `captioning.model.Captioner` takes.
NETWORK = (
    "decoder",
    "cell",
    "units",
    "depth",
    "num_heads",
    "dropout",
    "input_dropout",
    "no_repeat_ngram",
)
# How caption files are read, by the names that `captioning.data.load_sources` takes.
FORMAT = ("encoding", "delimiter")
# What training did before there were these settings. A run of that time continues as it began.
EARLIER = {
    "encoder_rate": 1.0,
    "encoder_from_epoch": 1,
    "crop": 1.0,
    "brightness": 0.0,
    "max_pixels": 100_000_000,
    "tokenizer": "words",
    "repeats": 1,
}
# Settings of the network that follow from the model in --init-from.
SHAPE = ("encoder", "decoder", "cell", "units", "depth", "num_heads")


@dataclass(frozen=True)
class CaptioningConfig(RunConfig):
    """Settings of one training run; every field is an option of `python -m captioning.train`."""

    data: tuple[str, ...] = option(("shapes",), f"one or more sources: {SOURCES}")
    encoding: str = option("", ENCODING_HELP)
    delimiter: str = option("", DELIMITER_HELP)
    mix: tuple[float, ...] = option(
        (),
        "how often each source is drawn, relative to the others; 0: it is validated on, but not trained on; "
        "none: by its number of images",
    )
    source_weights: tuple[float, ...] = option(
        (),
        "weight of each source's captions in the loss, below 1 for captions that a model wrote; none: 1 each",
    )
    encoder: str = option(
        "efficientnet_lite2", "efficientnet_lite0|1|2, a keras.applications name, or small_cnn"
    )
    encoder_weights: str = option("imagenet", "imagenet, none, or a weights file for the encoder")
    init_from: str | None = option(
        None,
        "preset or run whose network, weights and vocabulary to start from; few images start from the preset "
        "photos; none: from nothing",
        suited=True,
    )
    tokenizer: str | None = option(
        None,
        "how captions are split: words, in lower case and without punctuation; exact, with case, accents and "
        "punctuation, and Chinese, Japanese or Thai by character; characters; auto: words for English, exact "
        "where letters beyond a to z are common",
        choices=("auto", *TOKENIZERS),
        suited=True,
    )
    image_size: int = option(
        0, "side of the encoder's input in pixels; 0: the encoder's own", least=0, most=4096
    )
    max_pixels: int = option(
        MAX_PIXELS, "images that declare more pixels are left out", least=1, most=LARGEST_MAX_PIXELS
    )
    train_encoder: bool = option(False, "train the encoder too, on pixels instead of cached features")
    encoder_blocks: int = option(0, "last blocks of the encoder that --train-encoder trains; 0: all", least=0)
    encoder_rate: float = option(0.1, "learning rate of the encoder, as a share of the decoder's", above=0)
    encoder_from_epoch: int = option(2, "first epoch in which the encoder learns", least=1)
    decoder: str = option("late_attention", "how the image enters the recurrence", choices=DECODER_NAMES)
    cell: str = option("lstm", "recurrent cell", choices=CELLS)
    units: int = option(512, "width of embedding, recurrence and attention", least=1, most=16384)
    depth: int = option(1, "recurrent layers", least=1, most=1000)
    num_heads: int = option(8, "attention heads (late_attention)", least=1, most=1024)
    min_count: int | None = option(
        None, "words seen less often in the training captions become unknown", least=1, suited=True
    )
    max_length: int | None = option(
        None, "longest caption in words; longer ones are cut", least=2, suited=True
    )
    captions_per_image: int = option(5, "captions of one image in a batch, drawn again each epoch", least=1)
    batch_size: int | None = option(None, "images in a batch", least=1, suited=True)
    self_critical: int = option(
        0, "epochs of self-critical training of the model in --init-from, in place of --epochs", least=0
    )
    samples: int = option(5, "captions drawn for each image (self-critical)", least=2)
    sample_temperature: float = option(0.6, "temperature of the draws (self-critical)", above=0)
    cross_entropy_weight: float = option(0.1, "weight of the cross entropy beside (self-critical)", least=0)
    teachers: tuple[str, ...] = option(
        (), "presets or runs with the same vocabulary, whose mean probabilities the model also learns"
    )
    teacher_weight: float = option(
        0.5, "share of the loss that learns from --teachers, not from the captions", above=0, below=1
    )
    epochs: int | None = option(
        None, "epochs, each of --repeats passes over the images", least=1, suited=True
    )
    repeats: int | None = option(None, "how often an epoch shows each image", least=1, suited=True)
    learning_rate: float | None = option(
        None, "highest rate of AdamW, after the warm-up", above=0, suited=True
    )
    warmup_steps: int | None = option(
        None, "steps over which the rate rises to its highest", least=0, suited=True
    )
    weight_decay: float = option(0.01, "decoupled weight decay of AdamW", least=0)
    clip_norm: float = option(1.0, "largest global norm of the gradient", above=0)
    label_smoothing: float = option(0.1, "probability mass spread over all words", below=1)
    dropout: float = option(0.5, "rate before the output layer and between recurrent layers", below=1)
    input_dropout: float = option(0.3, "rate on the image and on embedded words", below=1)
    mirror: bool = option(True, "show every image mirrored half of the time")
    crop: float = option(0.75, "smallest share of an image's area that --train-encoder shows", above=0)
    brightness: float = option(0.15, "largest change of an image's brightness by --train-encoder", below=1)
    average_decay: float | None = option(
        None, "decay of the weight average that is evaluated and saved", below=1, suited=True
    )
    patience: int | None = option(
        None, "epochs without a better validation CIDEr before the run stops", least=1, suited=True
    )
    validation_beams: int = option(3, "beams with which validation images are captioned", least=1)
    no_repeat_ngram: int | None = option(
        None, "captions repeat no sequence of this many words; 0: they may", least=0, suited=True
    )
    mixed_bfloat16: bool = option(False, "bfloat16 products in the decoder; weights stay float32")
    seed: int = option(1, "seed of weights, dropout and data order", below=2**32)

    def __post_init__(self):
        if isinstance(self.data, str):  # as config.json had it when a run had one source
            object.__setattr__(self, "data", (self.data,))
        if self.tokenizer == "auto":
            object.__setattr__(self, "tokenizer", None)
        super().__post_init__()
        if self.self_critical and not self.init_from:
            raise ValueError(
                "--self-critical needs a trained captioner: name its run or preset with --init-from"
            )
        if self.crop > 1:
            raise ValueError(f"--crop must lie in (0, 1], not {self.crop}")
        if self.train_encoder and self.epochs and self.encoder_from_epoch > self.epochs:
            raise ValueError(
                f"--encoder-from-epoch {self.encoder_from_epoch} is after the last of --epochs "
                f"{self.epochs}: the encoder would not learn"
            )
        self._check_for_each_source("mix", self.mix, may_be_zero=True)
        self._check_for_each_source("source_weights", self.source_weights)
        if self.decoder == "late_attention" and self.units % self.num_heads:
            raise ValueError(f"--units {self.units} must be a multiple of --num-heads {self.num_heads}")

    def _check_for_each_source(self, name, values, may_be_zero=False):
        what = f"--{name.replace('_', '-')}"
        if values and len(values) != len(self.data):
            raise ValueError(f"{what} needs a number for each of {len(self.data)} sources, not {len(values)}")
        if may_be_zero and any(values):
            values = [value for value in values if value != 0]
        if not all(0 < value < math.inf for value in values):
            raise ValueError(f"{what} must be numbers above 0, not {' '.join(map(str, values))}")

    @classmethod
    def from_run(cls, run: RunFolder) -> Self:
        return super().from_run(RunFolder(run.path, {**EARLIER, **run.config}))

    @property
    def pretrained_encoder(self) -> bool:
        """Whether the encoder starts from trained weights."""
        return bool(self.init_from) or self.encoder_weights != "none"


def recipe(data: tuple[str, ...]) -> CaptioningConfig:
    """The default settings for data sources; options of the command line override them.

    Rendered shapes are simple pictures with a small vocabulary: a small CNN is trained from scratch together
    with the decoder.
    """
    if data != ("shapes",):
        return CaptioningConfig(data=data)
    return CaptioningConfig(
        encoder="small_cnn",
        encoder_weights="none",
        init_from="",
        tokenizer="words",
        train_encoder=True,
        encoder_rate=1.0,
        encoder_from_epoch=1,
        units=128,
        num_heads=4,
        min_count=1,
        max_length=22,
        captions_per_image=1,
        batch_size=32,
        epochs=12,
        repeats=1,
        learning_rate=2e-3,
        warmup_steps=100,
        label_smoothing=0.0,
        dropout=0.0,
        input_dropout=0.0,
        mirror=False,
        crop=1.0,
        brightness=0.0,
        average_decay=0.99,
        patience=4,
        validation_beams=1,
        no_repeat_ngram=0,  # "a small red circle above a small red square" is right
    )


def self_critical_recipe(start: CaptioningConfig, init_from: str) -> CaptioningConfig:
    """The default settings for self-critical training of a model that was trained with `start`."""
    return dataclasses.replace(
        start,
        init_from=init_from,
        self_critical=1,
        train_encoder=False,
        learning_rate=5e-5,
        warmup_steps=50,
        dropout=0.3 * start.dropout,
        input_dropout=0.3 * start.input_dropout,
        average_decay=0.995,
    )
