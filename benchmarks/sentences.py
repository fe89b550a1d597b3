"""Makes the tables of sentences that the sentiment preset learns from.

    python -m benchmarks.sentences --vader hutto_ICWSM_2014/ --labelled labelled/ \
        --reviews unlabelled.jsonl.gz --out sentences/

- `--vader`: the unpacked `additional_resources/hutto_ICWSM_2014.tar.gz` of github.com/cjhutto/vaderSentiment
  (MIT). Sentences of product reviews, editorials and tweets, each rated by 20 people from -4 to 4 (Hutto and
  Gilbert 2014). A mean of at least 0.6 is positive, of at most -0.6 negative; those between are left out.
- `--labelled`: `amazon_cells_labelled.txt` and `yelp_labelled.txt` of the Sentiment Labelled Sentences at
  archive.ics.uci.edu (CC BY 4.0; Kotzias et al. 2015). Sentences of reviews of phones and restaurants.
- `--reviews`: 49,730 film reviews without labels (Maas et al. 2011).

Sentences of film reviews, of which the first two have some, are not read: they may be in test sets of others.
Nor are those that the hand-written test sentences contain. As people negate praise far more often than blame,
`--negations` sentences are made from templates: "The staff was not rude at all.", "I found no flaws in it.".

In the folder, `rated.csv` has these sentences with label and split; `unlabelled.csv` has 10,000 of the
reviews, and a piece of 15,000 others: what the preset says of them is what it shall still say afterwards.
"""

import csv
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from sentiment.data import load_texts
from shared.system.cli import Parser, UserError, run_script
from shared.system.options import whole_number

TESTS = Path(__file__).parents[1] / "tests" / "data"
RATED = ("amazonReviewSnippets", "tweets", "nytEditorialSnippets")
LABELLED = ("amazon_cells", "yelp")
LEAST = 0.6  # distance of a mean rating from 0
EVERY = 10  # one in so many rated sentences belongs to validation
REVIEWS, PIECES = 10_000, 15_000
BORDERS = re.compile(r"(?<=[.!?])\s+|<br />")  # between sentences
PLACEHOLDERS = re.compile(r"@anonymous|http://url_removed")
# What the templates hold, by the label of the words.
WORDS = {
    "positive": {
        "word": """good great nice excellent helpful friendly clean tasty comfortable reliable funny
            interesting useful fresh fast easy beautiful impressive pleasant clever moving bright generous
            quiet fair""",
        "noun": "charm quality flavour comfort humour logic value help style warmth",
        "verb": "impress convince satisfy please excite interest inspire",
    },
    "negative": {
        "word": """bad terrible boring awful rude dirty slow noisy expensive cheap ugly useless weak stupid
            broken cold disappointing annoying difficult confusing poor dull uncomfortable unfriendly late
            wrong""",
        "noun": "problems complaints mistakes delays flaws errors trouble faults issues surprises",
        "verb": "annoy bore irritate confuse frustrate upset bother",
    },
}
# Sentences that speak for the other label than their words do, but for the last.
NEGATED = (
    "{subject} {be} not {word}.",
    "{subject} {be} not {word} at all!",
    "not {word} at all.",
    "not {word}, really.",
    "{subject} {be}n't {word}.",
    "{subject} {be}n't that {word}.",
    "{subject} {be} never {word}.",
    "{subject} {be} anything but {word}.",
    "{subject} {be} far from {word}.",
    "I don't think {subject} {be} {word}.",
    "I wouldn't call {subject} {word}.",
    "nothing about {subject} {be} {word}.",
    "there {be} nothing {word} about {subject}.",
    "there was no {noun} in {subject}.",
    "no {noun} with {subject}.",
    "I found no {noun} in {subject}.",
    "{subject} didn't {verb} me.",
    "{subject} did not {verb} anyone.",
    "{subject} never failed to {opposite}.",
)
# And some that speak for that of their words.
PLAIN = ("{subject} {be} {word}.", "{subject} {be} really {word}!", "there was {noun} in {subject}.")
SUBJECTS = (
    "it",
    "this",
    "the food",
    "the staff",
    "the room",
    "the service",
    "the hotel",
    "the trip",
    "the delivery",
    "the book",
    "her voice",
    "my phone",
    "the shop",
    "the weather",
    "the music",
    "the new one",
    "the film",
)
SHARE_NEGATED = 0.75


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser("benchmarks.sentences", description=__doc__.split("\n")[0])
    parser.add_argument("--vader", type=Path, required=True, help="folder hutto_ICWSM_2014")
    parser.add_argument("--labelled", type=Path, required=True, help="folder of the files *_labelled.txt")
    parser.add_argument("--reviews", type=Path, required=True, help="table of reviews without labels")
    parser.add_argument(
        "--negations", type=whole_number, default=3000, help="sentences made from templates (default: 3000)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    arguments = parser.parse_args(argv)
    draw, tested = random.Random(1), everyday()
    rows = distinct([*rated(arguments.vader), *labelled(arguments.labelled)], tested)
    draw.shuffle(rows)
    made = distinct([made_sentence(draw) for _ in range(arguments.negations)], tested)
    table = [(*row, "train" if index % EVERY else "validation") for index, row in enumerate(rows)]
    texts = load_texts(arguments.reviews)
    draw.shuffle(texts)
    pieces = [piece for text in texts[REVIEWS:] if (piece := piece_of(text, draw))][:PIECES]
    arguments.out.mkdir(parents=True, exist_ok=True)
    write(arguments.out / "rated.csv", ("text", "label", "split"), table + [(*row, "train") for row in made])
    write(arguments.out / "unlabelled.csv", ("text",), [(text,) for text in texts[:REVIEWS] + pieces])
    counts = Counter(label for _, label in rows)
    shown = ", ".join(f"{label} {count:,}" for label, count in sorted(counts.items()))
    print(f"{len(rows):,} rated sentences ({shown}), {len(made):,} made from templates")
    print(f"{REVIEWS:,} reviews and {len(pieces):,} pieces of others without labels")
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


def made_sentence(draw: random.Random) -> tuple[str, str]:
    """Text and label of a sentence made from a template."""
    label, other = draw.sample(sorted(WORDS), 2)
    is_negated = draw.random() < SHARE_NEGATED
    lists = WORDS[other if is_negated else label]
    text = draw.choice(NEGATED if is_negated else PLAIN).format(
        subject=draw.choice(SUBJECTS),
        be=draw.choice(("is", "was")),
        opposite=draw.choice(WORDS[label]["verb"].split()),
        **{kind: draw.choice(words.split()) for kind, words in lists.items()},
    )
    return text[0].upper() + text[1:], label


def piece_of(text: str, draw: random.Random) -> str:
    """One to three sentences of a review, in three cases of ten its first or last; empty: it has but one."""
    sentences = [one.strip() for one in BORDERS.split(text) if 2 <= len(one.split()) <= 40]
    if len(sentences) < 2:
        return ""
    length = draw.choice((1, 1, 1, 2, 3))
    last = max(0, len(sentences) - length)
    first = draw.choice((0, last)) if draw.random() < 0.3 else draw.randint(0, last)
    return " ".join(sentences[first : first + length])


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


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a table as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows((header, *rows))


def _clean(text: str) -> str:
    if "Ã" in text:  # UTF-8 that was once read as Latin-1
        text = text.encode("latin-1", "ignore").decode("utf-8", "ignore")
    return " ".join(PLACEHOLDERS.sub("", text).split())


def _lines(path: Path, encoding: str) -> list[str]:
    try:
        return path.read_text(encoding=encoding).rstrip("\n").split("\n")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}). Expected a file of the data that --help names."
        ) from error


if __name__ == "__main__":
    raise SystemExit(run_script(main))
