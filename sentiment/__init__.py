"""Sentiment analysis: recurrent networks read reviews of any length and say what they think.

from sentiment import load_model
load_model("imdb").predict("Not bad at all!")

`fit` trains a model on labelled texts of your own, and `model.save` keeps it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment.app import load_model as load_model
from shared import __version__ as __version__


def fit(
    texts: Any,
    labels: Any = None,
    *,
    start: str | Path | None = None,
    validation: Any = None,
    names: Mapping[Any, str] | None = None,
    out: str | Path | None = None,
    verbose: int = 1,
    **settings: Any,
) -> Any:
    """Trains a sentiment model on labelled texts, as `python -m sentiment.train` does.

    Args:
        texts: a column of texts: a list, a NumPy array, a pandas or Hugging Face column, or a
            `tf.data.Dataset` of strings. Without `labels`, a table: a `DataFrame`, a Hugging Face `Dataset`
            or `DatasetDict`, a `tf.data.Dataset` of pairs, a dict of columns, or a list of pairs.
        labels: a label for each text: strings, numbers or booleans. Labels of a model are strings; the class
            labels of Hugging Face have their names.
        start: the preset or run folder to start from, such as `"imdb"`; `"none"`: from nothing; None: what
            suits the number of texts.
        validation: texts and labels to choose the best weights by, as a pair or a table; None: a tenth of the
            texts.
        names: new names for labels, such as `{0: "negative", 1: "positive"}`.
        out: the run folder; None: a temporary one. `model.save` keeps the model in both cases.
        verbose: 0: nothing is printed.
        **settings: settings of the run: the options of `python -m sentiment.train`, such as `epochs=3`.

    Returns:
        The best model, a `sentiment.model.SentimentClassifier`: `predict` gives labels, `probabilities` their
        probabilities, and `save` writes a folder that `load_model` reads.

    Raises:
        UserError: the data or a setting cannot be used.

    Example:

    ```python
    from sentiment import fit

    model = fit(["loved it", "awful", ...], ["good", "bad", ...], start="imdb")
    model.predict(["What a film!"])
    model.save("my-model")
    ```
    """
    from sentiment.training.fit import fit  # imports NumPy

    return fit(texts, labels, validation, names, start, out, verbose, settings)
