"""What is set outside the network: the settings of a training run and of a search, and the calibration.

They come from the command line and are kept in the run folder or export. Neither Keras nor TensorFlow is
imported.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from shared.runs.config import CELLS, RunConfig, option
from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.system.options import config_from_arguments, whole_number
from shared.text.vocabulary import tokenize_words

CALIBRATION_FILE = "calibration.json"
# An image of this size takes up to 1.6 GB while it is decoded; the cameras of most telephones stay below it.
MAX_PIXELS = 50_000_000
# Pillow refuses more, whatever it is told.
LARGEST_MAX_PIXELS = 178_956_970
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
# What training did before there were these settings. A run of that time continues as it began.
EARLIER = {
    "encoder_rate": 1.0,
    "encoder_from_epoch": 1,
    "crop": 1.0,
    "brightness": 0.0,
    "max_pixels": 100_000_000,
}

ABSTAIN_HELP = (
    "withhold the captions of an image whose best one has a confidence below this, from 0 to 1 (default: 0)"
)
# A caption that ends on one of these is not finished.
FINAL_WORDS = ("a", "an", "the", "with", "of", "and", "or", "in", "on", "at", "to")


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Adds the option `--max-pixels` of the scripts that read images."""
    parser.add_argument(
        "--max-pixels",
        type=partial(whole_number, most=LARGEST_MAX_PIXELS),
        default=MAX_PIXELS,
        metavar="N",
        help=f"images that declare more pixels are refused before they are decoded (default: {MAX_PIXELS})",
    )


@dataclass(frozen=True)
class CaptioningConfig(RunConfig):
    """Settings of one training run; every field is an option of `python -m captioning.train`."""

    data: tuple[str, ...] = option(("shapes",), f"one or more sources: {SOURCES}")
    mix: tuple[float, ...] = option(
        (), "how often each source is drawn, relative to the others; none: by its number of images"
    )
    source_weights: tuple[float, ...] = option(
        (),
        "weight of each source's captions in the loss, below 1 for captions that a model wrote; none: 1 each",
    )
    encoder: str = option(
        "efficientnet_lite2", "efficientnet_lite0|1|2, a keras.applications name, or small_cnn"
    )
    encoder_weights: str = option("imagenet", "imagenet, none, or a weights file for the encoder")
    init_from: str = option(
        "", "preset or run whose weights and vocabulary to start from; give the same network options"
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
    min_count: int = option(4, "words seen less often in the training captions become unknown", least=1)
    max_length: int = option(22, "longest caption in words; longer ones are cut", least=2)
    captions_per_image: int = option(5, "captions of one image in a batch, drawn again each epoch", least=1)
    batch_size: int = option(20, "images in a batch", least=1)
    self_critical: int = option(
        0, "epochs of self-critical training of the model in --init-from, in place of --epochs", least=0
    )
    samples: int = option(5, "captions drawn for each image (self-critical)", least=2)
    sample_temperature: float = option(0.6, "temperature of the draws (self-critical)", above=0)
    cross_entropy_weight: float = option(0.1, "weight of the cross entropy beside (self-critical)", least=0)
    epochs: int = option(8, "passes over the training images", least=1)
    learning_rate: float = option(1e-3, "highest rate of AdamW, after the warm-up", above=0)
    warmup_steps: int = option(200, "steps over which the rate rises to its highest", least=0)
    weight_decay: float = option(0.01, "decoupled weight decay of AdamW", least=0)
    clip_norm: float = option(1.0, "largest global norm of the gradient", above=0)
    label_smoothing: float = option(0.1, "probability mass spread over all words", below=1)
    dropout: float = option(0.5, "rate before the output layer and between recurrent layers", below=1)
    input_dropout: float = option(0.3, "rate on the image and on embedded words", below=1)
    mirror: bool = option(True, "show every image mirrored half of the time")
    crop: float = option(0.75, "smallest share of an image's area that --train-encoder shows", above=0)
    brightness: float = option(0.15, "largest change of an image's brightness by --train-encoder", below=1)
    average_decay: float = option(0.998, "decay of the weight average that is evaluated and saved", below=1)
    patience: int = option(4, "epochs without a better validation CIDEr before the run stops", least=1)
    validation_beams: int = option(3, "beams with which validation images are captioned", least=1)
    no_repeat_ngram: int = option(3, "captions repeat no sequence of this many words; 0: they may", least=0)
    mixed_bfloat16: bool = option(False, "bfloat16 products in the decoder; weights stay float32")
    seed: int = option(1, "seed of weights, dropout and data order", below=2**32)

    def __post_init__(self):
        if isinstance(self.data, str):  # as config.json had it when a run had one source
            object.__setattr__(self, "data", (self.data,))
        super().__post_init__()
        if self.self_critical and not self.init_from:
            raise ValueError(
                "--self-critical needs a trained captioner: name its run or preset with --init-from"
            )
        if self.crop > 1:
            raise ValueError(f"--crop must lie in (0, 1], not {self.crop}")
        if self.train_encoder and self.encoder_from_epoch > self.epochs:
            raise ValueError(
                f"--encoder-from-epoch {self.encoder_from_epoch} is after the last of --epochs "
                f"{self.epochs}: the encoder would not learn"
            )
        for name in ("mix", "source_weights"):
            self._check_for_each_source(name, getattr(self, name))
        if self.decoder == "late_attention" and self.units % self.num_heads:
            raise ValueError(f"--units {self.units} must be a multiple of --num-heads {self.num_heads}")

    def _check_for_each_source(self, name, values):
        what = f"--{name.replace('_', '-')}"
        if values and len(values) != len(self.data):
            raise ValueError(f"{what} needs a number for each of {len(self.data)} sources, not {len(values)}")
        if not all(0 < value < math.inf for value in values):
            raise ValueError(f"{what} must be numbers above 0, not {' '.join(map(str, values))}")

    @classmethod
    def from_run(cls, run: RunFolder) -> Self:
        return super().from_run(RunFolder(run.path, {**EARLIER, **run.config}))

    @property
    def pretrained_encoder(self) -> bool:
        """Whether the encoder starts from trained weights."""
        return bool(self.init_from) or self.encoder_weights != "none"


class Constraints(NamedTuple):
    """Words that captions must have, words that they may never have, and words that they begin with."""

    must: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()

    @classmethod
    def of(cls, must: Iterable[str] | str, never: Iterable[str] | str, prefix: str) -> "Constraints":
        """The words of these texts, in lower case; those of `must` and `never` each once.

        Raises:
            ValueError: a text of `must` or `prefix` has no word.

        Example:

        >>> Constraints.of(["Red cat", "cat"], "dog", "A photo of")
        Constraints(must=('red', 'cat'), never=('dog',), prefix=('a', 'photo', 'of'))
        """
        must, never = ([texts] if isinstance(texts, str) else list(texts) for texts in (must, never))
        for text in [*must, *filter(None, [prefix])]:
            if not tokenize_words(text):
                raise ValueError(f"{text!r} has no word; must and prefix are made of words")
        once = (dict.fromkeys(tokenize_words(" ".join(texts))) for texts in (must, never))
        return cls(*map(tuple, once), tuple(tokenize_words(prefix)))

    def check(self, max_length: int, open_endings: bool) -> None:
        """Raises `ValueError` where no caption of at most `max_length` words can meet these constraints."""
        for name, words in (("must", self.must), ("prefix", self.prefix)):
            if both := [word for word in words if word in self.never]:
                raise ValueError(f"{both[0]!r} is a word of {name} and of never; a caption cannot obey both")
        further = [word for word in self.must if word not in self.prefix]
        needed = len(self.prefix) + len(further)
        if needed > max_length:
            raise ValueError(f"prefix and must have {needed} words; a caption has at most {max_length}")
        last = further or self.prefix[-1:]
        if needed == max_length and not open_endings and all(word in FINAL_WORDS for word in last):
            raise ValueError(
                f"a caption of {max_length} words would end on {last[-1]!r}; allow more, or open endings"
            )


@dataclass(frozen=True)
class Search(RunConfig):
    """Options of the beam search that writes captions; they become a part of an exported model."""

    n_best: int = option(1, "captions of each image", least=1)
    num_beams: int = option(
        3, "captions that the search follows at once; 1: the most probable word at each step", least=1
    )
    length_penalty: float = option(
        0.8, "captions are ranked by log-probability / length ** this; 0 favours short ones", least=0
    )
    max_length: int = option(30, "longest caption, in words", least=2)
    must: tuple[str, ...] = option((), "words that every caption has, in any order; each adds work")
    never: tuple[str, ...] = option((), "words that no caption has")
    prefix: str = option("", 'words that every caption begins with, such as "a photo of"')
    diversity: float = option(
        0.5,
        "how much the captions of --n-best differ: each comes from beams of its own, which lose this many "
        "nats for a word that earlier ones have at the same position; 0: the plain n best, often near twins",
        least=0,
    )
    open_endings: bool = option(
        False, f"let captions end on {', '.join(FINAL_WORDS[:-1])} or {FINAL_WORDS[-1]}"
    )

    def __post_init__(self):
        super().__post_init__()
        self.constraints.check(self.max_length, self.open_endings)
        if self.n_best > self.num_beams:
            raise ValueError(
                f"--num-beams {self.num_beams} finds {self.num_beams} captions an image; for --n-best "
                f"{self.n_best}, give at least as many beams"
            )

    @property
    def constraints(self) -> Constraints:
        return Constraints.of(self.must, self.never, self.prefix)

    def updated(self, arguments: argparse.Namespace) -> "Search":
        """These options, but for those given on a command line, from `add_config_arguments`.

        More captions than beams raise the beams, where these are not given.

        Raises:
            UserError: a value is out of its range.
        """
        base = self
        if not hasattr(arguments, "num_beams"):
            beams = max(self.num_beams, getattr(arguments, "n_best", 1))
            base = dataclasses.replace(self, num_beams=beams)
        return config_from_arguments(Search, arguments, base=base)


@dataclass(frozen=True)
class Calibration:
    """Logistic regression on the logarithm of the confidence (Platt 1999, on another score).

    `python -m captioning.evaluate --calibrate` fits it: the result is the probability that a caption's CIDEr
    is above the median of the split.

    Args:
        slope: above 0, so that more confident captions stay more confident.
        intercept: any number.

    Raises:
        ValueError: a number is not finite, or the slope is not above 0.

    Example:

    >>> round(Calibration(slope=2.0, intercept=2.0).apply(0.5), 3)
    0.649
    """

    slope: float
    intercept: float

    def __post_init__(self):
        if not (0 < self.slope < math.inf and math.isfinite(self.intercept)):
            raise ValueError(f"slope must be above 0 and both finite, not {self.slope} and {self.intercept}")

    @classmethod
    def load(cls, folder: Path) -> "Calibration | None":
        """The calibration in a run folder or preset; None if it has none.

        Raises:
            UserError: the file cannot be read.
        """
        path = folder / CALIBRATION_FILE
        if not path.is_file():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            return cls(float(record["slope"]), float(record["intercept"]))
        except (OSError, RecursionError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{path} is damaged ({error}). Write it again with captioning.evaluate --calibrate, or "
                "delete it."
            ) from error

    def apply(self, confidence: float) -> float:
        """The calibrated confidence, in [0, 1]."""
        if confidence <= 0:
            return 0.0
        logit = self.slope * math.log(confidence) + self.intercept
        return 1 / (1 + math.exp(-logit)) if logit > -700 else 0.0


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
        train_encoder=True,
        encoder_rate=1.0,
        encoder_from_epoch=1,
        units=128,
        num_heads=4,
        min_count=1,
        captions_per_image=1,
        batch_size=32,
        epochs=12,
        learning_rate=2e-3,
        warmup_steps=100,
        label_smoothing=0.0,
        dropout=0.0,
        input_dropout=0.0,
        mirror=False,
        crop=1.0,
        brightness=0.0,
        average_decay=0.99,
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
