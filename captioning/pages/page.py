"""Views and a gallery as one HTML page that opens from disk."""

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from captioning.pages.gallery import Judged
from captioning.pages.views import View
from shared import __version__
from shared.decoding import Node
from shared.text.vocabulary import Vocabulary
from shared.visual.pages import LARGEST, TEXT_OF_BYTES, command_line, packed, page_environment

MOST_VIEWS = 24
MOST_IN_GALLERY = 120
FIXED = 300_000  # bytes of a page without its photographs, generously
VIEW_SIDE, GALLERY_SIDE = 480, 200  # pixels of the longer side
SMALLEST_SIDE = 50  # a photograph of fewer pixels shows nothing


def render(
    views: Sequence[View],
    gallery: Sequence[Judged],
    vocabulary: Vocabulary,
    model: str,
    notes: Sequence[str] = (),
) -> str:
    """The page.

    Args:
        views: at most `MOST_VIEWS` photographs in detail.
        gallery: at most `MOST_IN_GALLERY` photographs with their captions, best first; may be empty.
        vocabulary: of the captioner.
        model: its name.
        notes: sentences for the reader, such as what was left out.

    Returns:
        HTML text.
    """
    room = (LARGEST - FIXED) / TEXT_OF_BYTES
    details = [_view(view, vocabulary) for view in views]
    each = room / (len(views) * VIEW_SIDE**2 + len(gallery) * GALLERY_SIDE**2)  # bytes for a pixel
    data = {
        "views": [
            {**detail, "photo": jpeg(view.pixels, VIEW_SIDE, each * VIEW_SIDE**2)}
            for detail, view in zip(details, views, strict=True)
        ],
        "gallery": [_judged(one, each * GALLERY_SIDE**2) for one in gallery],
    }
    template = page_environment("captioning", "pages").get_template("page.html.j2")
    return template.render(
        title=f"How {model} describes photographs",
        data=data,
        notes=notes,
        has_attention=all(view.attention is not None for view in views),
        command=command_line(),
        version=__version__,
    )


def jpeg(pixels: np.ndarray, side: int, most: float) -> str:
    """A photograph as a data URL, at most `side` pixels wide and high, and of at most about `most` bytes."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    for quality in (85, 70, 50):
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        if file.tell() <= most or side < SMALLEST_SIDE:
            break
    else:
        return jpeg(pixels, side * 3 // 4, most)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _view(view: View, vocabulary: Vocabulary) -> dict[str, Any]:
    captions = []
    for number, caption in enumerate(view.captions):
        entry = {"words": [*caption.tokens], "text": caption.text, "confidence": round(caption.confidence, 3)}
        if view.attention is not None:
            weights = view.attention[number]
            entry["attention"] = packed(
                np.round(255 * weights / weights.max(axis=1, keepdims=True)).astype(np.uint8)
            )
            entry["side"] = int(weights.shape[1] ** 0.5)
        captions.append(entry)
    return {"name": view.name, "captions": captions, "tree": [_node(node, vocabulary) for node in view.tree]}


def _node(node: Node, vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "parent": node.parent,
        "word": _word(node.token, vocabulary),
        "log_prob": round(node.log_prob, 3),
        "next": [
            [_word(token, vocabulary), round(float(np.exp(log_prob)), 4)]
            for token, log_prob in zip(node.tokens.tolist(), node.log_probs, strict=True)
        ],
    }


def _word(token: int, vocabulary: Vocabulary) -> str:
    """A word as the page shows it; the end of a caption is empty."""
    return "" if token == Vocabulary.END else vocabulary.tokens[token]


def _judged(judged: Judged, most: float) -> dict[str, Any]:
    return {
        "name": judged.example.image_id,
        "photo": jpeg(judged.example.load(), GALLERY_SIDE, most),
        "caption": judged.caption.text,
        "cider": round(judged.cider, 3),
        "references": list(judged.example.captions),
    }
