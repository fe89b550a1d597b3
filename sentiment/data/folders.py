"""Labelled texts in folders by class, one text in each file."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from sentiment.data.labels import label_names
from sentiment.data.reviews import Review
from shared.data.encodings import decode, encoding_advice, undecoded
from shared.data.source import SPLITS, DataError, Problem, reading, split_name
from shared.system.progress import progress_bar

# Folders of texts without a label, next to those of the classes.
UNLABELLED = ("unsup", "unsupervised")
# From this number of files on, reading takes long enough for a progress bar.
MANY = 5_000


def read_folder(path: Path, encoding: str = "") -> Iterator[tuple[str, Review] | Problem]:
    """The texts of a folder by class, one in each file.

    Either the folder holds one folder for each class with files `*.txt`, or it holds folders called train,
    validation and test, and those hold the classes. Folders of unlabelled texts are skipped.

    Args:
        path: the folder.
        encoding: of the files; see `shared.data.encodings.Format`.

    Yields:
        Split and review, or what is wrong with a file or folder.

    Raises:
        DataError: if it cannot be read, or a folder that should hold classes does not.
    """
    below = _folders(path)
    parts = [(split_name(folder.name), folder) for folder in below if split_name(folder.name) in SPLITS]
    for folder in below:
        if parts and split_name(folder.name) not in SPLITS and folder.name not in UNLABELLED:
            yield Problem(str(folder), 0, f"left out, for it is not one of {', '.join(SPLITS)}")
    files = []
    for split, folder in parts or [("train", path)]:
        for label, of_class in _classes(folder).items():
            texts = text_files(of_class)
            files += [(file, label, split) for file in texts]
            if not texts:
                yield Problem(str(of_class), 0, "holds no file *.txt")
    paths = progress_bar([file for file, _, _ in files], title=str(path), unit="file", least=MANY)
    for (file, label, split), text in zip(files, read_files(path, paths, encoding), strict=True):
        yield text if isinstance(text, Problem) else (split, Review(text, label, str(file)))


def _classes(folder: Path) -> dict[str, Path]:
    """The folder of each label."""
    folders = [below for below in _folders(folder) if below.name not in UNLABELLED]
    if not folders:
        raise DataError(
            f"The folder {folder} has no classes. Expected a folder for each, with files *.txt, such as "
            "pos/1.txt and neg/1.txt, or train/pos/1.txt and test/pos/1.txt."
        )
    names = label_names(below.name for below in folders)
    return {names[below.name]: below for below in folders}


def _folders(path: Path) -> list[Path]:
    with reading(path):
        return sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith((".", "__")))


def text_files(folder: Path) -> list[Path]:
    """The files `*.txt` directly in a folder, sorted by name.

    Raises:
        DataError: if the folder cannot be read.
    """
    with reading(folder):
        return sorted(f for f in folder.iterdir() if f.suffix == ".txt" and not f.name.startswith("."))


def read_files(folder: Path, files: Iterable[Path], encoding: str = "") -> Iterator[str | Problem]:
    """The text of each file, or what is wrong with it.

    Raises:
        DataError: if a file cannot be read, or most are in another encoding.
    """
    count, bad = 0, []
    for file in files:
        text = read_text(file, encoding)
        count += 1
        if isinstance(text, Problem) and text.message == undecoded(encoding):
            bad.append(file)
        yield text
    if 2 * len(bad) > count:
        raise DataError(
            f"{len(bad):,} of {count:,} files in {folder} are {undecoded(encoding)} text. "
            f"{encoding_advice(bad[0].read_bytes())}"
        )


def read_text(path: Path, encoding: str = "") -> str | Problem:
    """A file as one text, or the problem that it is empty or in another encoding.

    Args:
        path: the file.
        encoding: see `shared.data.encodings.Format`.

    Raises:
        DataError: if it cannot be read.
    """
    with reading(path):
        content = path.read_bytes()
    try:
        text = decode(content, encoding)
    except UnicodeDecodeError as error:
        return Problem(str(path), 1 + content[: error.start].count(b"\n"), undecoded(encoding))
    return text if text.strip() else Problem(str(path), 1, "the text is empty")
