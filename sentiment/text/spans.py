"""Where the words of a text are in it, although folding and rules change its characters.

The table and the rules of `words` are applied again, and each character keeps the span of the original text
that it came from. This module imports neither Keras nor TensorFlow.
"""

import re
from collections.abc import Iterator, Sequence

from sentiment.text.words import fold_table, rules

Span = tuple[int, int]


def word_spans(text: str) -> list[Span]:
    """Where each word of `sentiment.text.words.split_words(text)` is in the text.

    Args:
        text: any text.

    Returns:
        Start and end of each word, in order and without overlap. A span covers all characters that became
        the word: `&quot;`, `!!!`, and an accent that follows its letter.

    Example:

    >>> text = "I don't<br />like it!!!"
    >>> [text[start:end] for start, end in word_spans(text)]
    ['I', 'do', "n't", 'like', 'it', '!!!']
    """
    folded, spans = _fold(text)
    for pattern, replacement in rules():
        folded, spans = _replace(re.compile(pattern, re.ASCII), _parts(replacement), folded, spans)
    return [
        (spans[word.start()][0], spans[word.end() - 1][1]) for word in re.compile(r"\S+").finditer(folded)
    ]


def pieces(text: str, weights: Sequence[float]) -> Iterator[tuple[str, float | None]]:
    """Cuts a text into its words and what is between them.

    Args:
        text: any text.
        weights: a number for each of its words.

    Yields:
        Pieces that together are the text: words with their weights, what is between them with None.

    Example:

    >>> list(pieces("So good!", [0.1, 2.0, 0.5]))
    [('So', 0.1), (' ', None), ('good', 2.0), ('!', 0.5)]
    """
    done = 0
    for (start, end), weight in zip(word_spans(text), weights, strict=True):
        if done < start:
            yield text[done:start], None
        yield text[start:end], float(weight)
        done = end
    if done < len(text):
        yield text[done:], None


def _fold(text: str) -> tuple[str, list[Span]]:
    """The folded text and the spans of its characters. One that is left out belongs to the one before it."""
    table = fold_table()
    characters, spans = [], []
    for index, character in enumerate(text):
        folded = table.get(ord(character), character)
        if folded is not None:
            characters.append(chr(folded) if isinstance(folded, int) else folded)
            spans.append((index, index + 1))
        elif spans and spans[-1][1] == index and characters[-1] != " ":
            spans[-1] = (spans[-1][0], index + 1)
    return "".join(characters), spans


def _parts(replacement: str) -> list[str | int]:
    r"""A replacement in its parts: numbers of groups, and the text between them, which may be empty.

    >>> _parts(r"\1 n't")
    ['', 1, " n't"]
    """
    parts = re.split(r"\\([1-9])", replacement)
    return [int(part) if number % 2 else part for number, part in enumerate(parts)]


def _replace(pattern: re.Pattern, parts: list[str | int], text: str, spans: list[Span]):
    """`pattern.sub`, and the spans of the characters in its result."""
    characters, new_spans, done = [], [], 0
    for match in pattern.finditer(text):
        characters.append(text[done : match.start()])
        new_spans += spans[done : match.start()]
        for number, part in enumerate(parts):
            if isinstance(part, int):
                characters.append(match[part])
                new_spans += spans[slice(*match.span(part))]
            elif part:
                # It replaces what the match has between the neighbouring groups.
                start = match.end(parts[number - 1]) if number else match.start()
                end = match.start(parts[number + 1]) if number + 1 < len(parts) else match.end()
                characters.append(part)
                new_spans += [_stretch(spans, start, end)] * len(part)
        done = match.end()
    characters.append(text[done:])
    return "".join(characters), new_spans + spans[done:]


def _stretch(spans: list[Span], start: int, end: int) -> Span:
    """The span of the characters from `start` to `end`; an empty one if there are none."""
    if start < end:
        return spans[start][0], spans[end - 1][1]
    index = spans[start - 1][1] if start else 0
    return index, index
