"""Character-level language models: recurrent networks that write text one character at a time.

from charlm import load_model
load_model("shakespeare").generate("To be, or not to be")

`fit` trains a model on a text of your own, and `model.save` keeps it.
"""

from pathlib import Path
from typing import Any

from charlm.app import load_model as load_model
from shared import __version__ as __version__


def fit(
    text: Any,
    *,
    start: str | Path | None = None,
    out: str | Path | None = None,
    verbose: int = 1,
    **settings: Any,
) -> Any:
    """Trains a character model on a text, as `python -m charlm.train` does.

    Args:
        text: a string; several texts, which are joined by line breaks: a list, an array, a pandas or Hugging
            Face column, or a `tf.data.Dataset` of strings; or a `pathlib.Path` of a file or folder.
        start: the preset or run folder to start from, such as `"shakespeare"`; `"none"`: from nothing; None:
            what suits the length of the text.
        out: the run folder; None: a temporary one. `model.save` keeps the model in both cases.
        verbose: 0: nothing is printed.
        **settings: settings of the run: the options of `python -m charlm.train`, such as `epochs=3`.

    Returns:
        The best model, a `charlm.model.CharLM`: `generate` writes text, `score` measures one, and `save`
        writes a folder that `load_model` reads.

    Raises:
        UserError: the text or a setting cannot be used.

    Example:

    ```python
    from charlm import fit

    model = fit(open("diary.txt").read(), start="shakespeare")
    print(model.generate("Dear diary, "))
    model.save("my-model")
    ```
    """
    from charlm.training.fit import fit  # imports NumPy

    return fit(text, start, out, verbose, settings)
