"""The official COCO caption metrics, quietly: BLEU, METEOR, ROUGE-L and CIDEr of pycocoevalcap."""

import contextlib
import functools
import importlib
import importlib.metadata
import itertools
import shutil
import subprocess
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from shared.system.cli import UserError
from shared.text.tokens import GLUE, is_unspaced, tokenize_exact
from shared.text.vocabulary import tokenize_words

TOOL = "pycocoevalcap"
TOKENIZER_NAMES = ("auto", "ptb", "words", "characters")
JAVA_NEEDED = "Install a Java runtime (`java` on the PATH), or choose {other}."


def official_metrics(
    references: Mapping[str, Sequence[str]],
    candidates: Mapping[str, str],
    tokenizer: Literal["ptb", "words", "characters", "auto"] = "auto",
    meteor: bool | Literal["auto"] = "auto",
) -> dict[str, float | str | list[float]]:
    """Scores captions by the official COCO caption code.

    Args:
        references: for each image its reference captions.
        candidates: for each of the same images the caption to score.
        tokenizer: `"ptb"`, the Penn Treebank tokenizer of the official code, which needs Java; `"words"`,
            `tokenize_words`; `"characters"`, words and the single characters of scripts without blanks; or
            `"auto"`: the last for such scripts, else the first where Java is present, else the second.
        meteor: whether METEOR is computed, which needs Java; `"auto"`: where Java is present.

    Returns:
        `BLEU-1` to `BLEU-4`, `METEOR` where computed, `ROUGE-L` and `CIDEr`; under `cider_of_each` the CIDEr
        of each image, in the order of `references`; and under `tokenizer` and `tool` the tokenizer and the
        version of the code.

    Raises:
        UserError: pycocoevalcap is not installed, Java is needed and absent, or Java fails.
        ValueError: references and candidates are not of the same images, or there are none.

    Example:

    >>> references = {"a.jpg": ["A dog runs.", "The dog is running."], "b.jpg": ["Two boats."]}
    >>> candidates = {"a.jpg": "a dog runs", "b.jpg": "a boat"}
    >>> scores = official_metrics(references, candidates, tokenizer="words", meteor=False)
    >>> round(scores["BLEU-1"], 3)
    0.6
    """
    tool = find_tool()
    if tokenizer == "auto":
        tokenizer = suited_tokenizer(itertools.chain.from_iterable(references.values()))
    tokenizer, meteor = choose_tools(tokenizer, meteor)
    if not candidates or references.keys() != candidates.keys():
        raise ValueError(
            f"Expected candidates for the images that have references, and at least one; "
            f"got {len(references)} images with references and {len(candidates)} with candidates."
        )
    # The official code walks both dictionaries in step.
    candidates = {image: [candidates[image]] for image in references}
    split = {"ptb": _tokenize_ptb, "words": _tokenize_words, "characters": _tokenize_characters}[tokenizer]
    references, candidates = split(references), split(candidates)
    return _scores(references, candidates, meteor) | {"tokenizer": tokenizer, "tool": tool}


def suited_tokenizer(captions: Iterable[str]) -> str:
    """`"characters"` where most captions are in a script without blanks, else `"auto"`."""
    are_unspaced = [is_unspaced(caption) for caption in captions]
    return "characters" if 2 * sum(are_unspaced) > len(are_unspaced) else "auto"


def find_tool() -> str:
    """Name and version of the official code.

    Raises:
        UserError: it is not installed.
    """
    try:
        return f"{TOOL} {importlib.metadata.version(TOOL)}"
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"Evaluation needs the package {TOOL}, which is not installed: run `pip install '.[evaluation]'`."
        ) from None


@functools.cache
def java_present() -> bool:
    """Whether a Java runtime answers; a mere stub named `java`, as macOS has it, does not count."""
    if shutil.which("java") is None:
        return False
    return subprocess.run(["java", "-version"], capture_output=True, check=False).returncode == 0


def choose_tools(tokenizer: str, meteor: bool | str) -> tuple[str, bool]:
    """The tokenizer, and whether METEOR is computed, with `"auto"` resolved; see `official_metrics`.

    Raises:
        UserError: pycocoevalcap is not installed, or what is asked for needs Java, and there is none.
    """
    find_tool()
    if tokenizer not in TOKENIZER_NAMES:
        raise ValueError(f"Unknown tokenizer {tokenizer!r}. Expected one of {', '.join(TOKENIZER_NAMES)}.")
    if tokenizer == "auto":
        tokenizer = "ptb" if java_present() else "words"
    if meteor == "auto":
        meteor = java_present()
    if tokenizer == "ptb" and not java_present():
        raise UserError("The PTB tokenizer needs Java. " + JAVA_NEEDED.format(other="the tokenizer 'words'"))
    if meteor and not java_present():
        raise UserError("METEOR needs Java. " + JAVA_NEEDED.format(other="to leave it out"))
    return tokenizer, meteor


def _tokenize_words(captions):
    return {image: [" ".join(tokenize_words(text)) for text in texts] for image, texts in captions.items()}


def _tokenize_characters(captions):
    pieces = {
        image: [map(tokenize_exact, tokenize_words(text)) for text in texts]
        for image, texts in captions.items()
    }
    return {
        image: [" ".join(piece.removeprefix(GLUE) for word in words for piece in word) for words in texts]
        for image, texts in pieces.items()
    }


def _tokenize_ptb(captions):
    """The tokens of the official `PTBTokenizer`, from its Java program, its options and its punctuation list.

    The official wrapper writes into the package's folder, which may be read-only, and talks to the terminal.
    """
    module = _import("tokenizer.ptbtokenizer")
    # One caption a line: no character in it may end the line.
    texts = [" ".join(text.split()) for several in captions.values() for text in several]
    jar = Path(module.__file__).with_name(module.STANFORD_CORENLP_3_4_1_JAR)
    command = ["java", "-Dfile.encoding=UTF-8", "-cp", str(jar), "edu.stanford.nlp.process.PTBTokenizer"]
    lines = _run_java([*command, "-preserveLines", "-lowerCase"], "\n".join(texts) + "\n").split("\n")
    if len(lines) != len(texts) + 1:
        raise UserError(f"The PTB tokenizer returned {len(lines) - 1} lines for {len(texts)} captions.")
    # A token may hold other spaces: the official code splits at this one only.
    tokenized = (
        " ".join(word for word in line.rstrip().split(" ") if word not in module.PUNCTUATIONS)
        for line in lines
    )
    return {image: [next(tokenized) for _ in several] for image, several in captions.items()}


def _run_java(command, text):
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(f"Java ended with status {done.returncode}: {reason[-1] if reason else 'no message'}")
    return done.stdout.decode()


def _scores(references, candidates, meteor):
    bleu, _ = _import("bleu.bleu").Bleu(4).compute_score(references, candidates, verbose=0)
    scores = {f"BLEU-{n}": score for n, score in enumerate(bleu, 1)}
    if meteor:
        with _meteor() as scorer:
            scores["METEOR"], _ = scorer.compute_score(references, candidates)
    scores["ROUGE-L"], _ = _import("rouge.rouge").Rouge().compute_score(references, candidates)
    scores["CIDEr"], of_each = _import("cider.cider").Cider().compute_score(references, candidates)
    scores = {name: float(score) for name, score in scores.items()}
    return scores | {"cider_of_each": [float(score) for score in of_each]}


@contextlib.contextmanager
def _meteor() -> Iterator[Any]:
    """The official METEOR scorer; closes its Java process and pipes, which it does not close itself."""
    scorer = _import("meteor.meteor").Meteor()
    process = scorer.meteor_p
    try:
        yield scorer
    except (OSError, ValueError) as error:
        process.kill()
        message = process.stderr.read().decode(errors="replace").strip()
        raise UserError(f"METEOR's Java process failed: {message or error}") from error
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        if scorer.lock.locked():
            scorer.lock.release()  # its destructor would wait for ever


def _import(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package is older than some of Python's warnings
        return importlib.import_module(f"{TOOL}.{name}")
