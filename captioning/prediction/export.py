"""Writes the SavedModel of a captioner and checks that it captions as the model does."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from captioning.config import FINAL_WORDS, MAX_PIXELS, Search
from captioning.model.exported import SETTINGS_FILE
from captioning.model.signatures import caption_signatures
from shared.export import ExportError, call_alone, export_saved_model
from shared.text.vocabulary import tokenize_words

TOLERANCE = 1e-3  # by which a log-probability may differ in the check


def export_captioner(
    captioner, path: Path, search: dict, abstain_below: float = 0.0, max_pixels: int = MAX_PIXELS
) -> None:
    """Writes the SavedModel of a captioner at `path` and checks it against the captioner.

    Args:
        captioner: a `captioning.model.Captioner`.
        path: folder to make.
        search: options of the beam search, fields of `captioning.config.Search`.
        abstain_below: the confidence below which captions are withheld.
        max_pixels: a file that declares more pixels is not decoded.

    Raises:
        shared.export.ExportError: `path` cannot be written, or the SavedModel differs from the captioner.
    """
    settings = {"image_size": captioner.image_size, "search": search}
    settings |= {"abstain_below": abstain_below, "max_pixels": max_pixels}
    export_saved_model(
        path,
        caption_signatures(captioner, search, abstain_below, max_pixels),
        [variable.value for variable in captioner.variables],
        files={SETTINGS_FILE: json.dumps(settings, indent=2)},
        check=lambda folder: check_export(folder, captioner, search, abstain_below),
    )


def check_export(folder: Path, captioner, search: dict, abstain_below: float = 0.0) -> None:
    """Compares the SavedModel, in a process of its own, with the captioner on generated pictures.

    One of the files is damaged: it must get an error, and the others the captions that they get without it.

    Raises:
        ExportError: a caption or its log-probability differs, or a file's error is not what it should be.
    """
    images = _test_images(captioner.image_size)
    files = [_png(image) for image in images]
    files.insert(1, files[0][: len(files[0]) // 2])
    files = {"images": np.array(files, dtype=object)}
    constraints = _constraints(captioner.vocabulary, search)
    calls = {
        "pixels": {"images": images},
        "serving_default": files,
        "constrained": files | _encoded(constraints),
    }
    answers = call_alone(folder, calls)
    expected = captioner.caption_pixels(images, **search)
    _check_captions("pixels", answers["pixels"], expected, abstain_below)
    _check_files("serving_default", answers, expected, abstain_below)
    constrained = captioner.caption_pixels(images, **search | constraints)
    _check_files("constrained", answers, constrained, abstain_below)


def _check_files(signature, answers, expected, abstain_below):
    answer = answers[signature]
    is_error = [bool(error) for error in answer["errors"]]
    if is_error != [False, True, False, False]:
        raise ExportError(
            f"The SavedModel's {signature} gave the errors {answer['errors'].tolist()} for four files, "
            "only the second of which is damaged. Nothing was written."
        )
    good = {name: np.delete(answer[name], 1, axis=0) for name in ("captions", "log_probs", "abstained")}
    _check_captions(signature, good, expected, abstain_below)


def _constraints(vocabulary, search):
    """Some constraints that captions can meet: one word to begin with, one to have and one to avoid."""
    words = [word for word in vocabulary.tokens[len(vocabulary.SPECIALS) :] if tokenize_words(word) == [word]]
    words = [word for word in words if word not in FINAL_WORDS]
    must = words[2:3] if Search(**search).max_length > 2 else ()
    return {"prefix": "".join(words[:1]), "never": tuple(words[1:2]), "must": tuple(must)}


def _encoded(constraints):
    """Constraints as the inputs of a signature."""
    return {
        name: np.array(
            words.encode() if isinstance(words, str) else [word.encode() for word in words], object
        )
        for name, words in constraints.items()
    }


def _check_captions(signature, outputs, expected, abstain_below):
    for row, captions in enumerate(expected):
        is_withheld = outputs["abstained"][row]
        may_be_withheld = captions[0].confidence < abstain_below + TOLERANCE
        for rank, caption in enumerate(captions):
            text = outputs["captions"][row, rank].decode("utf-8")
            log_prob = float(outputs["log_probs"][row, rank])
            is_text = (text == "" and may_be_withheld) if is_withheld else text == caption.text
            if not is_text or abs(log_prob - caption.log_prob) > TOLERANCE:
                raise ExportError(
                    f"The SavedModel's {signature} gives {text!r} ({log_prob:.4f}) where the Python "
                    f"model gives {caption.text!r} ({caption.log_prob:.4f}). Nothing was written."
                )


def _test_images(size: int) -> np.ndarray:
    """Three smooth random pictures `(3, size, size, 3)`; any would do, as only equality is tested."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in noise]
    )


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
