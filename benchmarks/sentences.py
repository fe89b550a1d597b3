"""Makes the table of rated sentences that the sentiment preset learns from.

    python -m benchmarks.sentences --vader hutto_ICWSM_2014/ --labelled labelled/ --out sentences.csv

- `--vader`: the unpacked `additional_resources/hutto_ICWSM_2014.tar.gz` of github.com/cjhutto/vaderSentiment
  (MIT). Sentences of product reviews, editorials and tweets, each rated by 20 people from -4 to 4 (Hutto and
  Gilbert 2014). A mean of at least 0.6 is positive, of at most -0.6 negative; those between are left out.
- `--labelled`: `amazon_cells_labelled.txt` and `yelp_labelled.txt` of the Sentiment Labelled Sentences at
  archive.ics.uci.edu (CC BY 4.0; Kotzias et al. 2015). Sentences of reviews of phones and restaurants.

Sentences of film reviews, of which both have some, are not read: they may be in test sets of others. Nor are
those that the hand-written test sentences contain.
"""

import csv
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.system.cli import Parser, UserError, run_script

TESTS = Path(__file__).parents[1] / "tests" / "data"
RATED = ("amazonReviewSnippets", "tweets", "nytEditorialSnippets")
LABELLED = ("amazon_cells", "yelp")
LEAST = 0.6  # distance of a mean rating from 0
EVERY = 10  # one in so many sentences belongs to validation
PLACEHOLDERS = re.compile(r"@anonymous|http://url_removed")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.sentences", description=__doc__.split("\n")[0])
    parser.add_argument("--vader", type=Path, required=True, help="folder hutto_ICWSM_2014")
    parser.add_argument("--labelled", type=Path, required=True, help="folder of the files *_labelled.txt")
    parser.add_argument("--out", type=Path, required=True, help="table to write")
    arguments = parser.parse_args(argv)
    rows = distinct([*rated(arguments.vader), *labelled(arguments.labelled)], known=everyday())
    random.Random(1).shuffle(rows)
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("text", "label", "split"))
        for index, (text, label) in enumerate(rows):
            table.writerow((text, label, "train" if index % EVERY else "validation"))
    counts = ", ".join(
        f"{label} {count:,}" for label, count in sorted(Counter(row[1] for row in rows).items())
    )
    print(f"{len(rows):,} sentences in {arguments.out}: {counts}")
    return 0


def rated(folder: Path) -> Iterator[tuple[str, str]]:
    """Text and label of VADER's sentences, in lines of id, mean rating and text."""
    for name in RATED:
        for line in _lines(folder / f"{name}_GroundTruth.txt", "latin-1"):
            _, rating, text = line.split("\t")[:3]
            text = _clean(text)
            if abs(float(rating)) >= LEAST and " " in text:
                yield text, "positive" if float(rating) > 0 else "negative"


def labelled(folder: Path) -> Iterator[tuple[str, str]]:
    """Text and label of the Sentiment Labelled Sentences, in lines of text and 0 or 1."""
    for name in LABELLED:
        for line in _lines(folder / f"{name}_labelled.txt", "utf-8"):
            text, label = line.rsplit("\t", 1)
            yield _clean(text), "positive" if label.strip() == "1" else "negative"


def distinct(rows: Sequence[tuple[str, str]], known: set[str]) -> list[tuple[str, str]]:
    """The first row of each text, but for case and marks, and none that is known."""
    seen, kept = set(known), []
    for text, label in rows:
        key = words_alone(text)
        if key and key not in seen:
            seen.add(key)
            kept.append((text, label))
    return kept


def everyday() -> set[str]:
    """The words of the hand-written test sentences."""
    texts = set()
    for path in TESTS.glob("everyday_*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            texts |= {words_alone(row["text"]) for row in csv.DictReader(file)}
    return texts


def words_alone(text: str) -> str:
    """A text in lower case without marks."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def _clean(text: str) -> str:
    if "Ã" in text:  # UTF-8 that was once read as Latin-1
        text = text.encode("latin-1", "ignore").decode("utf-8", "ignore")
    return " ".join(PLACEHOLDERS.sub("", text).split())


def _lines(path: Path, encoding: str) -> list[str]:
    try:
        return path.read_text(encoding=encoding).rstrip("\n").split("\n")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}). Expected one of the files named above."
        ) from error


if __name__ == "__main__":
    raise SystemExit(run_script(main))
