"""Writing on from a prompt, on the page of the demo."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from charlm.config import TEMPERATURE
from charlm.model.generate import draw_seed, stream
from shared.visual.demo import errors_shown, import_gradio

if TYPE_CHECKING:
    from charlm.model.char_lm import CharLM

PROMPT = "To be, or not to be"
LONGEST = 100_000  # characters to write
EVERY = 0.1  # seconds between two updates: a browser that draws more often has no time for a click on Stop
MOST_TOP_K = 100
LARGEST_SEED = 2**53 - 1  # of the whole numbers that a browser knows


def add_tab(model: "CharLM", name: str) -> None:
    """Adds the components that write on.

    Args:
        model: a `CharLM`, or an exported one behind the same calls.
        name: its name, for the reader.
    """
    gr = import_gradio()

    def write(*inputs) -> Iterator[tuple[str, str]]:
        with errors_shown():
            yield from write_on(model, *inputs)

    prompt = gr.Textbox(PROMPT, label="The beginning", lines=2, max_lines=8)
    options = _add_options(gr)
    with gr.Row():
        start, stop = gr.Button("Write on", variant="primary"), gr.Button("Stop")
    text = gr.Textbox(
        label=f"Written by {name}", lines=14, max_lines=24, buttons=["copy"], elem_classes="written"
    )
    remark = gr.HTML()
    writing = start.click(write, [prompt, *options], [text, remark], concurrency_limit=1)
    stop.click(None, cancels=writing)


def write_on(
    model: "CharLM",
    prompt: str,
    num_chars: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int | None,
) -> Iterator[tuple[str, str]]:
    """The prompt with what is written so far, as `charlm.generate` writes it, and a remark on the seed.

    Args:
        model: the model.
        prompt, num_chars, temperature, top_p: see `charlm.model.generate.stream`.
        top_k: 0: no bound.
        seed: None: a random one.

    Raises:
        UserError: the prompt holds half of a surrogate pair.
    """
    seed = draw_seed() if seed is None else seed
    text, remark = prompt, f"Seed {seed} writes this again."
    yield text, ""
    options = {"temperature": temperature, "top_k": top_k or None, "top_p": top_p, "seed": seed}
    shown = time.monotonic()
    for piece in stream(model, prompt, num_chars, **options):
        text += piece
        if time.monotonic() - shown >= EVERY:
            yield text, remark
            shown = time.monotonic()
    yield text, remark


def _add_options(gr):
    """The components of the options, in the order of `write_on`."""
    with gr.Accordion("How it writes", open=False):
        return [
            gr.Slider(1, LONGEST, 500, step=1, label="Characters to write"),
            gr.Slider(0.1, 2.0, TEMPERATURE, step=0.05, label="Temperature: below 1 safer, above 1 wilder"),
            gr.Slider(0, MOST_TOP_K, 0, step=1, label="Top-k: only the likeliest characters; 0: all"),
            gr.Slider(0.05, 1.0, 1.0, step=0.01, label="Top-p: only those that reach this share together"),
            gr.Number(
                None,
                precision=0,
                minimum=0,
                maximum=LARGEST_SEED,
                label="Seed: the same one writes the same text; empty: a random one",
            ),
        ]
