"""How the captions of one photograph came about: attention, alternatives, and the tree of the search."""

from typing import NamedTuple

import numpy as np

from captioning.data.images import resize
from captioning.model.captions import Caption
from captioning.model.decoders import AttentionDecoder
from captioning.model.search import CaptionSearch
from shared.decoding import Node, Trace
from shared.text.vocabulary import Vocabulary

ALTERNATIVES = 8  # next words kept at each step


class View(NamedTuple):
    """One photograph and what a captioner made of it.

    Attributes:
        name: of the photograph.
        pixels: `(height, width, 3)` uint8.
        captions: best first.
        attention: for each caption, `(words + 1, cells)`: where each word, and last the end, looked; None for
            a captioner without attention.
        tree: what the search tried.
    """

    name: str
    pixels: np.ndarray
    captions: list[Caption]
    attention: list[np.ndarray] | None
    tree: list[Node]


def view(captioner: CaptionSearch, name: str, pixels: np.ndarray, **options) -> View:
    """Captions a photograph and records how.

    Args:
        captioner: a `Captioner` or an `Ensemble`, which has no attention of its own; no exported model.
        name: of the photograph, for the reader.
        pixels: `(height, width, 3)` uint8.
        **options: see `captioning.model.search.CaptionSearch.search`.
    """
    square = resize(pixels, captioner.image_size)[None]
    features = captioner.encoder(square, training=False)
    trace = Trace(ALTERNATIVES)
    decoded = captioner.search(features, trace=trace, **options)
    tokens, lengths, log_probs = (np.asarray(part[0]) for part in decoded[:3])
    rows = [
        (row[:length], log_prob)
        for row, length, log_prob in zip(tokens, lengths, log_probs, strict=True)
        if length
    ]
    captions = [
        Caption.of(captioner.vocabulary.decode(row), log_prob, len(row), captioner.calibration)
        for row, log_prob in rows
    ]
    attention = None
    if isinstance(captioner.decoder, AttentionDecoder):
        attention = [_attention(captioner, features, row) for row, _ in rows]
    return View(name, pixels, captions, attention, trace.nodes)


def _attention(captioner, features, tokens: np.ndarray) -> np.ndarray:
    """Where each token looked, `(tokens, cells)`; it looked when it was predicted, after those before it."""
    read = np.concatenate([[Vocabulary.START], tokens[:-1]]).astype(np.int32)
    return np.asarray(captioner.decoder.attended(features, read[None]))[0]
