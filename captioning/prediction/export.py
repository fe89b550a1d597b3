"""Writes the SavedModel of a captioner and checks that it captions as the model does."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from captioning.model.exported import SETTINGS_FILE
from captioning.model.signatures import caption_signatures
from shared.export import ExportError, call_alone, export_saved_model

TOLERANCE = 1e-3  # by which a log-probability may differ in the check


def export_captioner(captioner, path: Path, search: dict) -> None:
    """Writes the SavedModel of a captioner at `path` and checks it against the captioner.

    Args:
        captioner: a `captioning.model.Captioner`.
        path: folder to make.
        search: options of the beam search: `num_beams`, `n_best`, `length_penalty`, `max_length`.

    Raises:
        shared.export.ExportError: `path` cannot be written, or the SavedModel differs from the captioner.
    """
    settings = {"image_size": captioner.image_size, "search": search}
    export_saved_model(
        path,
        caption_signatures(captioner, search),
        [variable.value for variable in captioner.variables],
        files={SETTINGS_FILE: json.dumps(settings, indent=2)},
        check=lambda folder: check_export(folder, captioner, search),
    )


def check_export(folder: Path, captioner, search: dict) -> None:
    """Compares the SavedModel, in a process of its own, with the captioner on generated pictures.

    One of the files is damaged: it must get an error, and the others the captions that they get without it.

    Raises:
        ExportError: a caption or its log-probability differs, or a file's error is not what it should be.
    """
    images = _test_images(captioner.image_size)
    files = [_png(image) for image in images]
    files.insert(1, files[0][: len(files[0]) // 2])
    answers = call_alone(
        folder, {"pixels": {"images": images}, "serving_default": {"images": np.array(files, dtype=object)}}
    )
    expected = captioner.caption_pixels(images, **search)
    _check_captions("pixels", answers["pixels"], expected)
    answer = answers["serving_default"]
    is_error = [bool(error) for error in answer["errors"]]
    if is_error != [False, True, False, False]:
        raise ExportError(
            f"The SavedModel gave the errors {answer['errors'].tolist()} for four files, of which only the "
            "second is damaged. Nothing was written."
        )
    good = {name: np.delete(answer[name], 1, axis=0) for name in ("captions", "log_probs")}
    _check_captions("serving_default", good, expected)


def _check_captions(signature, outputs, expected):
    for row, captions in enumerate(expected):
        for rank, caption in enumerate(captions):
            text = outputs["captions"][row, rank].decode("utf-8")
            log_prob = float(outputs["log_probs"][row, rank])
            if text != caption.text or abs(log_prob - caption.log_prob) > TOLERANCE:
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
