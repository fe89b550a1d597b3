"""Image captioning: a CNN encoder and a recurrent decoder describe photographs.

from captioning import load_model
load_model("photos").predict("dog.jpg")

`fit` trains a model on captioned images of your own, and `model.save` keeps it.
"""

from pathlib import Path
from typing import Any

from captioning.app import load_model as load_model
from shared import __version__ as __version__


def fit(
    images: Any,
    captions: Any = None,
    *,
    start: str | Path | None = None,
    validation: Any = None,
    out: str | Path | None = None,
    verbose: int = 1,
    **settings: Any,
) -> Any:
    """Trains a captioner on captioned images, as `python -m captioning.train` does.

    Args:
        images: a column of images: a list, an array `(images, height, width, 3)` uint8, a pandas or Hugging
            Face column, or a `tf.data.Dataset`; an image is a path, the bytes of a file, a Pillow image or an
            array `(height, width, 3)` uint8. Without `captions`, a table with the columns image and caption:
            a `DataFrame`, a Hugging Face `Dataset` or `DatasetDict`, a `tf.data.Dataset` of pairs, a dict of
            columns, or a list of pairs.
        captions: a caption for each image, or a list of several.
        start: the preset or run folder to start from, such as `"photos"`; `"none"`: from nothing; None: what
            suits the number of images.
        validation: images and captions to choose the best weights by, as a pair or a table; None: a tenth of
            the images.
        out: the run folder; None: a temporary one. `model.save` keeps the model in both cases.
        verbose: 0: nothing is printed.
        **settings: settings of the run: the options of `python -m captioning.train`, such as `epochs=3`.

    Returns:
        The best model, a `captioning.model.Captioner`: `predict` gives captions, `caption` says more about
        them, and `save` writes a folder that `load_model` reads.

    Raises:
        UserError: the data or a setting cannot be used.

    Example:

    ```python
    from captioning import fit

    model = fit(["dog.jpg", "cat.jpg", ...], ["a dog", "a cat", ...], start="photos")
    model.predict(["horse.jpg"])
    model.save("my-model")
    ```
    """
    from captioning.training.fit import fit  # imports NumPy and Pillow

    return fit(images, captions, validation, start, out, verbose, settings)
