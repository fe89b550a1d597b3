"""Flickr8k: a file of captions, and a list of images for each split."""

from pathlib import Path

from captioning.data.examples import CaptionData
from captioning.data.listing import Listing, Row, finish
from shared.data.encodings import open_text
from shared.data.source import DataError, Problem, split_name

CAPTIONS_FILE = "Flickr8k.token.txt"
# Of images in none of the lists.
UNUSED = "unused"


def read_flickr8k(name: str, path: Path, images: Path | None, encoding: str = "") -> CaptionData:
    """Reads a folder with the caption file and the lists of splits."""
    listing = Listing(str(path / CAPTIONS_FILE))
    splits = _splits(path, listing)
    captioned = set()
    with open_text(path / CAPTIONS_FILE, encoding) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            key, tab, caption = line.partition("\t")
            image, hash_sign, _ = key.rpartition("#")
            if not tab or not hash_sign or not caption.strip():
                listing.problem(number, "expected IMAGE#NUMBER, a tab and a caption")
                continue
            captioned.add(image)
            split = splits[image][0] if image in splits else UNUSED
            listing.add(Row(number, image, (caption.strip(),), split))
    for image, (_, file, number) in splits.items():
        if image not in captioned:
            listing.problems.append(
                Problem(file, number, f"image {image} has no captions in {CAPTIONS_FILE}")
            )
    return finish(name, listing, images, [path])


def _splits(path: Path, listing: Listing) -> dict[str, tuple[str, str, int]]:
    """Split, file and line of each image in the lists."""
    splits: dict[str, tuple[str, str, int]] = {}
    lists = {name: path / f"Flickr_8k.{name}Images.txt" for name in ("train", "dev", "test")}
    for name, file in lists.items():
        if not file.is_file():
            continue
        with open_text(file) as stream:
            for number, line in enumerate(stream, 1):
                image = line.strip()
                if image in splits:
                    message = f"image {image} is in the {splits[image][0]} list too, where it stays"
                    listing.problems.append(Problem(str(file), number, message))
                elif image:
                    splits[image] = (split_name(name), str(file), number)
    if not splits:
        names = ", ".join(file.name for file in lists.values())
        raise DataError(f"{path} has no list of splits; expected at least one of {names}.")
    return splits
