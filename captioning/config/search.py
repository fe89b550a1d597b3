"""The options of the beam search that writes captions, and the words that captions must or must not have."""

import argparse
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from shared.runs.config import RunConfig, option
from shared.system.options import config_from_arguments
from shared.text.vocabulary import tokenize_words

ABSTAIN_HELP = (
    "withhold the captions of an image whose best one has a confidence below this, from 0 to 1 (default: 0)"
)
# A caption that ends on one of these is not finished.
FINAL_WORDS = ("a", "an", "the", "with", "of", "and", "or", "in", "on", "at", "to")
# Why no caption can meet constraints; an exported model says it in the same words.
IN_BOTH = "'{word}' is a word of {name} and of never; a caption cannot obey both"
TOO_MANY_WORDS = "prefix and must have {count} words; a caption has at most {most}"
BAD_ENDING = "a caption of {most} words would end on '{word}'; allow more, or open endings"


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
                raise ValueError(IN_BOTH.format(word=both[0], name=name))
        further = [word for word in self.must if word not in self.prefix]
        needed = len(self.prefix) + len(further)
        if needed > max_length:
            raise ValueError(TOO_MANY_WORDS.format(count=needed, most=max_length))
        last = further or self.prefix[-1:]
        if needed == max_length and not open_endings and all(word in FINAL_WORDS for word in last):
            raise ValueError(BAD_ENDING.format(most=max_length, word=last[-1]))


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
