"""Training from Python: `sentiment.fit`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sentiment.app import APP
from sentiment.config import SentimentConfig
from sentiment.data.memory import reviews_in_memory
from sentiment.data.reviews import print_problems
from sentiment.training.recipe import suit, with_network_of_start
from shared.data.objects import DATA
from shared.fitting import fit_model, fit_settings
from shared.runs.folder import RunFolder


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
    config = fit_settings(APP, SentimentConfig(data=(DATA,)), start, settings)
    config = with_network_of_start(config, given=settings)
    data = reviews_in_memory(texts, labels, validation, names or {}, config)

    def train(config: SentimentConfig, run: RunFolder) -> None:
        print(f"{data.name}: {data.rule}.", flush=True)
        print_problems(data.problems)
        config = suit(run, config, data, given=settings)
        from sentiment.training.run import train_sentiment

        train_sentiment(config, run, data)

    return fit_model(APP, config, train, out, verbose)
