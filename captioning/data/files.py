"""Caption files: Flickr8k, Karpathy's and COCO's JSON, and tables, each read into examples and problems."""

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from captioning.data.examples import CaptionData, DataError, Problem, split_name
from captioning.data.listing import Listing, Row, finish, image_folder, open_text

FLICKR_CAPTIONS = "Flickr8k.token.txt"
FLICKR_SPLITS = ("train", "dev", "test")
TABLES = (".csv", ".tsv", ".txt", ".jsonl")
SPLITS = ("train", "validation", "test")
UNUSED = "unused"


def read_folder(name: str, path: Path, images: Path | None) -> CaptionData:
    """Reads a folder that holds one of the known caption files."""
    if (path / FLICKR_CAPTIONS).is_file():
        listing = _flickr(path)
        return finish(name, listing, images or image_folder([path], listing))
    for folder in (path, path / "annotations"):
        files = sorted(folder.glob("captions_*.json"))
        if files:
            parts = [_read_json(name, file, images) for file in files]
            return CaptionData(
                name,
                tuple(example for part in parts for example in part.examples),
                tuple(problem for part in parts for problem in part.problems),
                tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            )
    files = sorted(path.glob("dataset*.json")) or sorted(path.glob("captions.*"))
    if len(files) == 1:
        return read_file(name, files[0], images)
    raise DataError(
        f"{path} is not a folder of captions: expected {FLICKR_CAPTIONS}, captions_*.json, or one of "
        f"dataset_*.json, captions.csv and captions.jsonl in it; found {len(files) or 'none'} of these."
    )


def read_file(name: str, path: Path, images: Path | None) -> CaptionData:
    """Reads one caption file, by its suffix."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _read_json(name, path, images)
    if suffix not in TABLES:
        raise DataError(
            f"{path}: unknown kind of captions file. Expected .json or a table: {', '.join(TABLES)}."
        )
    listing = Listing(str(path))
    reader = _json_rows if suffix == ".jsonl" else _table_rows
    with open_text(path) as stream:
        _collect_table(listing, reader(listing, stream))
    return finish(name, listing, images or image_folder([path.parent], listing))


# Flickr8k


def _flickr(path: Path) -> Listing:
    listing = Listing(str(path / FLICKR_CAPTIONS))
    splits = _flickr_splits(path, listing)
    captioned = set()
    with open_text(path / FLICKR_CAPTIONS) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            key, tab, caption = line.rstrip("\n").partition("\t")
            image, hash_sign, _ = key.rpartition("#")
            if not tab or not hash_sign or not caption.strip():
                listing.problem(number, "expected IMAGE#NUMBER, a tab and a caption")
                continue
            captioned.add(image)
            listing.rows.append(Row(number, image, (caption.strip(),), splits.get(image, (UNUSED,))[0]))
    for image, (_, file, number) in splits.items():
        if image not in captioned:
            listing.problems.append(
                Problem(file, number, f"image {image} has no captions in {FLICKR_CAPTIONS}")
            )
    return listing


def _flickr_splits(path: Path, listing: Listing) -> dict[str, tuple[str, str, int]]:
    """Split, file and line of each image in the lists."""
    splits: dict[str, tuple[str, str, int]] = {}
    for name in FLICKR_SPLITS:
        file = path / f"Flickr_8k.{name}Images.txt"
        if not file.is_file():
            continue
        with open_text(file) as stream:
            for number, line in enumerate(stream, 1):
                image = line.strip()
                if image in splits:
                    problem = f"image {image} is in the {splits[image][0]} list too, where it stays"
                    listing.problems.append(Problem(str(file), number, problem))
                elif image:
                    splits[image] = (split_name(name), str(file), number)
    if not splits:
        lists = ", ".join(f"Flickr_8k.{name}Images.txt" for name in FLICKR_SPLITS)
        raise DataError(f"{path} has no list of splits; expected at least one of {lists}.")
    return splits


# JSON of Karpathy and COCO


def _read_json(name: str, path: Path, images: Path | None) -> CaptionData:
    with open_text(path) as stream:
        try:
            document = json.load(stream)
        except ValueError as error:
            raise DataError(f"{path} is not JSON text: {error}.") from error
    keys = set(document) if isinstance(document, dict) else set()
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise DataError(
            f'{path}: expected a JSON object with a list "images"; found {sorted(keys) or "no object"}.'
        )
    listing = Listing(str(path))
    if isinstance(document.get("annotations"), list):
        _coco(document, listing, path)
    else:
        _karpathy(document, listing)
    return finish(name, listing, images or image_folder(_coco_folders(path), listing))


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
            listing.rows.append(Row(0, name, captions, split, image_id))
        else:
            listing.problem(0, f"images[{number}] has no caption")


def _coco(document: dict, listing: Listing, path: Path) -> None:
    split = next(
        (SPLITS[i] for i, word in enumerate(("train", "val", "test")) if word in path.stem.lower()), None
    )
    names = {}
    for number, entry in enumerate(document["images"]):
        try:
            names[entry["id"]] = entry["file_name"]
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
            listing.rows.append(Row(0, names[key], sentences, split, str(key)))
        elif split != "test":  # the captions of COCO's test images are not public
            listing.problem(0, f"image {names[key]} has no caption")


def _coco_folders(path: Path) -> list[Path]:
    """Where pictures of `annotations/captions_val2014.json` may be: here, ../val2014, ../images/val2014."""
    part, above = path.stem.rpartition("_")[2], path.absolute().parent.parent
    return [
        path.parent,
        *(f for f in (above / part, above / "images" / part, above / "images") if f.is_dir()),
    ]


# Tables: CSV and JSON lines


def _table_rows(listing: Listing, stream: Iterable[str]) -> Iterator[tuple[int, dict]]:
    delimiter = "\t" if listing.file.lower().endswith(".tsv") else ","
    reader = csv.reader(stream, delimiter=delimiter)
    header = [column.strip().lower() for column in next(reader, [])]
    if "image" not in header or "caption" not in header:
        raise DataError(
            f"{listing.file}: the first line must name the columns image, caption and perhaps split; "
            f"it names {', '.join(header) or 'nothing'}."
        )
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            listing.problem(reader.line_num, f"not a row of a table: {error}")
            continue
        if cells is None:
            return
        if cells:
            yield reader.line_num, dict(zip(header, cells, strict=False))


def _json_rows(listing: Listing, stream: Iterable[str]) -> Iterator[tuple[int, dict]]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            listing.problem(number, f"not JSON: {error}")
            continue
        if isinstance(row, dict):
            yield number, row
        else:
            listing.problem(number, "expected a JSON object with image and caption")


def _collect_table(listing: Listing, rows: Iterable[tuple[int, dict]]) -> None:
    """Checks the rows of a table. An image's first split is the one that counts."""
    splits: dict[str, str | None] = {}
    for number, row in rows:
        image, caption, split = (row.get(key) for key in ("image", "caption", "split"))
        message = _row_problem(image, caption, split)
        if not message:
            image, split = image.strip(), split_name(split) if split and split.strip() else None
            if splits.setdefault(image, split) != split:
                message = f"image {image} was in split {splits[image]} before, not {split}"
        if message:
            listing.problem(number, message)
        else:
            listing.rows.append(Row(number, image, (caption.strip(),), split))


def _row_problem(image: object, caption: object, split: object) -> str:
    for column, value in (("image", image), ("caption", caption)):
        if not isinstance(value, str) or not value.strip():
            return f"column {column} is missing or empty"
        if "\ufffd" in value:
            return f"column {column} is not UTF-8 text"
    if split is None or (isinstance(split, str) and (not split.strip() or split_name(split) in SPLITS)):
        return ""
    return f"split {split!r} is not one of {', '.join(SPLITS)}"
