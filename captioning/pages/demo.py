"""Photographs on the page of the demo: a caption, and how it came about."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioning.data.images import load_image
from captioning.model.search import CaptionSearch
from captioning.pages.page import render
from captioning.pages.views import View, view
from captioning.prediction.inputs import sample_images
from shared.system.cli import UserError
from shared.visual.demo import embedded, errors_shown, headline, import_gradio

MOST_BEAMS, N_BEST = 10, 3


def add_tab(captioner: CaptionSearch, model: str) -> None:
    """Adds the components that describe photographs.

    Args:
        captioner: a `Captioner` or an `Ensemble`.
        model: its name, for the reader.
    """
    gr = import_gradio()

    def describe(path, *options) -> Iterator[tuple[str, str]]:
        yield "", ""  # what was said of the last photograph
        with errors_shown():
            if path is not None:
                shown = describe_file(captioner, path, *options)
                page = render([shown], [], captioner.vocabulary, model)
                best = shown.captions[0]
                yield headline(best.text, f"confidence {best.confidence:.2f}"), embedded(page)

    with gr.Row():
        with gr.Column():
            photograph = gr.Image(type="filepath", label="A photograph", buttons=[], height="20rem")
            # Gradio's own opens the file, whatever is in it. No event may set more of this component than its
            # value: its visitor would get a new one, without this line.
            photograph.preprocess = _path
        with gr.Column():
            caption = gr.HTML()
            chosen = gr.Image(type="filepath", image_mode=None, visible=False)
            samples = _samples()
            examples = gr.Examples(samples, chosen, label="Or one of these") if samples else None
            options, again = _add_options(gr, captioner.search_defaults.num_beams)
    details = gr.HTML()
    call = {
        "fn": describe,
        "inputs": [photograph, *options],
        "outputs": [caption, details],
        "concurrency_id": "captioning",  # one at a time
    }
    gr.on([photograph.input, again.click], **call, trigger_mode="always_last")
    if examples:
        examples.load_input_event.then(lambda path: path, chosen, photograph).then(**call)


def describe_file(
    captioner: CaptionSearch, path: str, beams: int, must: str, never: str, prefix: str
) -> View:
    """Captions a file as `captioning.predict` does, with its messages.

    Raises:
        UserError: the file is no image that can be read, or no caption can meet the constraints.
    """
    name = Path(path).name
    pixels = load_image(path, name=name)
    words = {"must": must.split(), "never": never.split(), "prefix": prefix.strip()}
    given = Namespace(num_beams=beams, n_best=min(N_BEST, beams), **words)
    search = captioner.search_defaults.updated(given)
    return view(captioner, name, pixels, **vars(search))


def _path(upload: Any) -> str | None:
    return upload and upload.path


def _add_options(gr, beams):
    """The components of the search options, and the button that searches again."""
    with gr.Accordion("Search options", open=False):
        options = [
            gr.Slider(1, max(MOST_BEAMS, beams), beams, step=1, label="Captions followed at once (beams)"),
            gr.Textbox("", label="Words that the caption must have"),
            gr.Textbox("", label="Words that it must not have"),
            gr.Textbox("", label="Words that it begins with"),
        ]
        return options, gr.Button("Describe again")


def _samples() -> list[str]:
    """The sample photographs; none where scikit-image, which has them, is not installed."""
    try:
        return [str(path) for path in sample_images()]
    except UserError:
        return []
