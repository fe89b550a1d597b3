"""From photographs and a data set to the page."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from captioning.evaluation.report import caption_examples, examples_to_score, without_failures
from captioning.model.search import CaptionSearch
from captioning.pages.gallery import judge, spread
from captioning.pages.page import MOST_IN_GALLERY, MOST_VIEWS, render
from captioning.pages.views import view
from shared.system.progress import progress_bar

ENDS = 4  # of the data set's best and worst photographs shown in detail where no others are


def make_page(
    captioner: CaptionSearch,
    model: str,
    images: Mapping[str, np.ndarray],
    search: dict[str, Any],
    *,
    data: str | None,
    split: str,
    limit: int,
    max_pixels: int,
) -> str:
    """The page of some photographs, and of a data set where one is named.

    Args:
        captioner: a `Captioner` or an `Ensemble`.
        model: its name, for the reader.
        images: pixels by name; the first `MOST_VIEWS` are shown.
        search: see `captioning.model.search.CaptionSearch.search`.
        data: source of the gallery, see `captioning.data.load`; None: there is none.
        split: of the data set.
        limit: images of it to caption, evenly spread.
        max_pixels: an image that declares more pixels is not decoded.

    Returns:
        HTML text.

    Raises:
        UserError: the data set cannot be read, or has no captioned images in that split.
    """
    notes, judged = [], []
    if len(images) > MOST_VIEWS:
        notes.append(f"Of {len(images)} photographs, the first {MOST_VIEWS} are shown.")
    if data:
        examples = spread(examples_to_score(data, None, split, max_pixels), limit)
        results = without_failures(caption_examples(captioner, examples, 32, {**search, "n_best": 1}))
        judged = judge([result.key for result in results], [result.captions[0] for result in results])
        mean = sum(one.cider for one in judged) / len(judged)
        notes.append(f"Data set: {split} of {data}, {len(judged)} photographs, mean CIDEr-D {mean:.3f}.")
        if not images:
            ends = [*judged[:ENDS], *judged[ENDS:][-ENDS:]]
            images = {one.example.image_id: one.example.load() for one in ends}
    shown = list(images.items())[:MOST_VIEWS]
    views = [view(captioner, *item, **search) for item in progress_bar(shown, unit="photograph", least=3)]
    return render(views, spread(judged, MOST_IN_GALLERY), captioner.vocabulary, model, notes)
