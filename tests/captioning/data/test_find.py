"""Which files of folders and patterns are images, and which are named as skipped."""

import os
import socket
from pathlib import Path

import pytest

from captioning.data.find import find_images, skipped_images
from captioning.data.images import ImageError, load_image


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.PNG", "c.webp", "notes.txt", ".hidden.jpg", "below/d.tiff", "empty/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_find_images(folder):
    def names(*paths):
        return [path.relative_to(folder).as_posix() for path in find_images(folder / path for path in paths)]

    assert names(".") == ["a.PNG", "b.jpg", "c.webp"]
    assert names("*") == ["a.PNG", "b.jpg", "c.webp"]
    assert names("**/*") == ["a.PNG", "b.jpg", "below/d.tiff", "c.webp"]
    assert names("c.webp", "below", "[ab]*") == ["c.webp", "below/d.tiff", "a.PNG", "b.jpg"]
    assert names("b.jpg", ".", "b.jpg") == ["b.jpg", "a.PNG", "c.webp"]
    assert names("notes.txt", "absent.jpg") == ["notes.txt", "absent.jpg"]
    assert find_images([]) == []
    assert find_images([str(folder / "b.jpg")]) == [Path(folder / "b.jpg")]


def test_find_images_prefers_a_file_to_a_pattern(folder):
    (folder / "x[1].jpg").touch()
    (folder / "x1.jpg").touch()
    assert find_images([folder / "x[1].jpg"]) == [folder / "x[1].jpg"]


def test_find_images_without_images(folder):
    with pytest.raises(ImageError, match=r"no images in this folder.*\.jpg"):
        find_images([folder / "empty"])
    with pytest.raises(ImageError, match="no image matches this pattern"):
        find_images([folder / "*.gif"])


def test_pipes_and_broken_links_in_a_folder_are_reported_by_the_loader(folder):
    os.mkfifo(folder / "pipe.jpg")
    os.symlink("nowhere.jpg", folder / "link.jpg")
    names = [path.name for path in find_images([folder])]
    assert names == ["a.PNG", "b.jpg", "c.webp", "link.jpg", "pipe.jpg"]
    with pytest.raises(ImageError, match=r"link\.jpg: no such file"):
        load_image(folder / "link.jpg")
    with pytest.raises(ImageError, match=r"pipe\.jpg: this is a pipe, a socket or a device"):
        load_image(folder / "pipe.jpg")


def test_sockets_and_devices_are_no_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
        for path in ("socket.jpg", "/dev/zero", "/dev/null"):
            with pytest.raises(ImageError, match="this is a pipe, a socket or a device"):
                load_image(path)


def test_a_folder_without_permission_is_reported_by_the_loader(folder, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    assert find_images([folder, folder / "b.jpg"]) == [folder, folder / "b.jpg"]
    with pytest.raises(ImageError, match="this folder cannot be read"):
        load_image(folder)


@pytest.mark.parametrize("pattern", ["**/*", "**/*.jpg"])
def test_a_folder_without_permission_below_a_pattern_is_reported_too(folder, monkeypatch, pattern):
    (folder / "closed").mkdir()
    # root may read everything
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed")
    assert folder / "closed" in find_images([folder / pattern])
    assert folder / "closed" not in find_images([folder / "*"])


@pytest.mark.parametrize("path", ["x" * 5_000 + ".jpg", "a\0b.jpg", "*" * 5_000 + "\0"])
def test_paths_that_no_system_takes(path):
    if "*" not in path:
        assert find_images([path]) == [Path(path)]
    with pytest.raises(ImageError):
        load_image(path)
    assert skipped_images([path]) == []


def test_formats_that_are_skipped(folder):
    for name in ("logo.svg", "x.HEIC", "y.heic", ".z.heic"):
        (folder / name).touch()
    lines = [line.removeprefix(f"{folder}: ") for line in skipped_images([folder, folder, folder / "b.jpg"])]
    assert lines == [
        "skipped 1 file *.svg (logo.svg): an SVG is a drawing; render it as PNG.",
        "skipped 2 files *.heic (x.HEIC, ...): convert HEIC to JPEG, or call "
        "pillow_heif.register_heif_opener() first.",
    ]
