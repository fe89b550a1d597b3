"""Captions in JSON: Karpathy's `dataset_*.json` and COCO's `captions_*.json`."""

import json
import os
from pathlib import Path
from typing import Any

from captioning.data.examples import CaptionData
from captioning.data.listing import Listing, Row, finish
from shared.data.encodings import open_text
from shared.data.source import SPLITS, DataError, split_name


def read_json(name: str, path: Path, images: Path | None, encoding: str = "") -> CaptionData:
    """Reads a file of either form; COCO's has a list of annotations."""
    document = _load(path, encoding)
    listing = Listing(str(path))
    if isinstance(document.get("annotations"), list):
        _coco(document, listing, path)
    else:
        _karpathy(document, listing)
    return finish(name, listing, images, _image_folders(path))


def _load(path: Path, encoding: str) -> dict[str, Any]:
    with open_text(path, encoding, lines=False) as stream:
        try:
            document = json.load(stream)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not JSON text: {error}.") from error
    keys = sorted(document) if isinstance(document, dict) else []
    if "images" not in keys or not isinstance(document["images"], list):
        raise DataError(f'{path}: expected a JSON object with a list "images"; found {keys or "no object"}.')
    return document


def _karpathy(document: dict, listing: Listing) -> None:
    for number, entry in enumerate(document["images"]):
        try:
            name = os.path.join(entry.get("filepath", ""), entry["filename"])
            captions = tuple(
                sentence["raw"].strip() for sentence in entry["sentences"] if sentence["raw"].strip()
            )
            split = split_name(entry["split"])
        except (KeyError, TypeError, AttributeError) as error:
            listing.problem(
                0, f"images[{number}] lacks filename, split or sentences with raw text ({error!r})"
            )
            continue
        if captions:
            image_id = str(entry.get("cocoid", entry["filename"]))
            listing.add(Row(0, name, captions, split, image_id))
        else:
            listing.problem(0, f"images[{number}] has no caption")


def _coco(document: dict, listing: Listing, path: Path) -> None:
    words = zip(("train", "val", "test"), SPLITS, strict=True)
    split = next((split for word, split in words if word in path.stem.lower()), None)
    names = {}
    for number, entry in enumerate(document["images"]):
        try:
            names[entry["id"]] = os.fspath(entry["file_name"])
        except (KeyError, TypeError) as error:
            listing.problem(0, f"images[{number}] lacks id or file_name ({error!r})")
    captions: dict[object, list[str]] = {key: [] for key in names}
    for number, entry in enumerate(document["annotations"]):
        try:
            captions[entry["image_id"]].append(entry["caption"].strip())
        except (KeyError, TypeError, AttributeError) as error:
            listing.problem(
                0, f"annotations[{number}] lacks a caption or the image_id of a listed image ({error!r})"
            )
    for key, sentences in captions.items():
        sentences = tuple(sentence for sentence in sentences if sentence)
        if sentences:
            listing.add(Row(0, names[key], sentences, split, str(key)))
        elif split != "test":  # the captions of COCO's test images are not public
            listing.problem(0, f"image {names[key]} has no caption")


def _image_folders(path: Path) -> list[Path]:
    """Where the images of `annotations/captions_val2014.json` may be: here, ../val2014, ../images/val2014."""
    part, above = path.stem.rpartition("_")[2], path.absolute().parent.parent
    folders = (above / part, above / "images" / part, above / "images")
    return [path.parent, *(folder for folder in folders if folder.is_dir())]
