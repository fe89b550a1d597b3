"""Reviews on the page of the demo: a label, and the words that decided."""

from collections.abc import Iterator

from sentiment.model.classifier import SentimentClassifier
from sentiment.pages.page import MOST_CHARACTERS, render
from sentiment.pages.views import view
from sentiment.prediction.explain import Explainer
from sentiment.prediction.inputs import from_arguments
from sentiment.prediction.results import Result
from sentiment.prediction.stream import classify_texts
from shared.system.cli import UserError
from shared.visual.demo import embedded, errors_shown, headline, import_gradio

EXAMPLES = [
    "The plot is thin and the ending is silly, but I laughed all the way through and would see it again.",
    "Two hours that nobody will give back. Beautiful pictures, wooden actors, and no story at all.",
    "Una película maravillosa, con actores estupendos y una historia que no se olvida.",
]


def add_tab(model: SentimentClassifier, name: str) -> None:
    """Adds the components that read reviews.

    Args:
        model: the model; an exported one has no gradients.
        name: its name, for the reader.
    """
    gr, explainer = import_gradio(), Explainer(model)

    def read(text) -> Iterator[tuple[str, str]]:
        yield "", ""  # what was said of the last text
        with errors_shown():
            result = classify(model, text)
            label = verdict(result)
            yield label, ""
            if not result.is_withheld:
                yield label, embedded(_details(model, explainer, text, name))

    review = gr.Textbox("", label="A review", lines=5, max_lines=12, placeholder="Type or paste it here")
    button = gr.Button("Read it", variant="primary")
    label = gr.HTML()
    examples = gr.Examples(EXAMPLES, review, label="Or one of these")
    details = gr.HTML()
    call = {"fn": read, "inputs": review, "outputs": [label, details], "concurrency_id": "sentiment"}
    gr.on([button.click, review.submit], **call)
    examples.load_input_event.then(**call)


def classify(model: SentimentClassifier, text: str) -> Result:
    """The result that `sentiment.predict` has for a text.

    Raises:
        UserError: the text cannot be read.
    """
    (result,) = classify_texts(model, from_arguments([text]))
    if result.item.error is not None:
        raise UserError(result.item.error)
    return result


def verdict(result: Result) -> str:
    """The label with its probability, or why it is withheld, as HTML."""
    if result.is_withheld:
        return headline("I do not know", "; ".join(result.remarks))
    return headline(result.shown_label, "; ".join([f"probability {result.probability:.3f}", *result.remarks]))


def _details(model, explainer, text, name) -> str:
    notes = []
    if len(text) > MOST_CHARACTERS:
        notes.append(f"The text has {len(text):,} characters; the first {MOST_CHARACTERS:,} are shown.")
    return render([view(model, explainer, text[:MOST_CHARACTERS])], name, notes)
