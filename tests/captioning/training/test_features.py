"""The feature cache: what it holds, what it is keyed by, what happens to bad images and interrupted work."""

import json
import os
import shutil
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioning.config import MAX_PIXELS
from captioning.data.examples import LazyImage
from captioning.data.images import load_image
from captioning.model.encoder import Encoder
from captioning.training import features as features_module
from captioning.training.features import FeatureError, default_cache_dir, extract_features


@dataclass(frozen=True)
class Example:
    image_id: str
    image: object
    max_pixels: int = MAX_PIXELS

    def load(self, size=None):
        return load_image(self.image, size=size)


@pytest.fixture(scope="module")
def encoder():
    return Encoder("small_cnn", weights=None)


@pytest.fixture
def photographs(tmp_path):
    random = np.random.default_rng(5)
    folder = tmp_path / "photographs"
    folder.mkdir()
    examples = []
    for index in range(7):
        path = folder / f"{index}.png"
        Image.fromarray(random.integers(0, 256, (40 + index, 70, 3), dtype=np.uint8)).save(path)
        examples.append(Example(f"photo {index}", path))
    return examples


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


class Counting:
    """An example that counts how often any of its kind is loaded, and may fail."""

    loaded = 0
    max_pixels = MAX_PIXELS

    def __init__(self, example, error=None):
        self.image_id, self.image, self._example, self._error = (
            example.image_id,
            example.image,
            example,
            error,
        )

    def load(self, size=None):
        type(self).loaded += 1
        if self._error:
            raise self._error
        return self._example.load(size)


@pytest.fixture(autouse=True)
def _from_zero():
    Counting.loaded = 0


def expected(encoder, examples):
    images = np.stack([encoder.prepare(example.load()) for example in examples])
    return np.asarray(encoder(images)).astype("float16")


def folder_of(cache):
    (folder,) = cache.iterdir()
    return folder


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_rows_are_the_features_of_their_images(encoder, photographs, cache, batch_size, capsys):
    found = extract_features(photographs, encoder, cache, batch_size=batch_size)
    assert found.array.shape == (7, 64, 128)
    assert found.array.dtype == np.float16
    assert isinstance(found.array, np.memmap)
    assert found.index == {f"photo {index}": index for index in range(7)}
    assert found.problems == []
    np.testing.assert_allclose(found.array, expected(encoder, photographs), rtol=2e-3, atol=1e-4)
    size = 7 * 64 * 128 * 2 / 1e6
    assert f"Features of 7 images: {size:.1f} MB in {cache}" in capsys.readouterr().err


def test_the_second_call_reads_the_cache(encoder, photographs, cache, capsys):
    first = extract_features(photographs, encoder, cache)
    capsys.readouterr()
    again = extract_features([Counting(example) for example in photographs], encoder, str(cache))
    assert Counting.loaded == 0
    assert capsys.readouterr().err == ""
    np.testing.assert_array_equal(again.array, first.array)
    assert again.index == first.index


def test_flipped_features_are_a_cache_of_their_own(encoder, photographs, cache):
    plain = extract_features(photographs, encoder, cache)
    flipped = extract_features(photographs, encoder, cache, flip=True)
    images = np.stack([encoder.prepare(example.load())[:, ::-1] for example in photographs])
    np.testing.assert_allclose(flipped.array, np.asarray(encoder(images)), rtol=2e-3, atol=1e-3)
    assert np.abs(np.subtract(flipped.array, plain.array, dtype="float32")).max() > 0.1
    assert len(list(cache.iterdir())) == 2


def test_another_encoder_or_file_or_list_is_another_cache(encoder, photographs, cache):
    extract_features(photographs, encoder, cache)
    extract_features(photographs, Encoder("small_cnn", weights=None), cache)
    assert len(list(cache.iterdir())) == 2
    extract_features(photographs[::-1], encoder, cache)
    assert len(list(cache.iterdir())) == 3
    status = photographs[4].image.stat()
    os.utime(photographs[4].image, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    extract_features(photographs, encoder, cache)
    assert len(list(cache.iterdir())) == 4


def test_images_that_are_no_files_are_told_apart_by_their_content(encoder, photographs, cache):
    array = photographs[0].load()
    other = array.copy()
    other[3, 5] += 1
    content = photographs[0].image.read_bytes()
    lazy = Counting(photographs[0])
    lazy.image = LazyImage()
    lazy.image.identity = "row 3 of somewhere"
    sources = [array, other, content, Image.fromarray(array), str(photographs[0].image)]
    for number, examples in enumerate([*([Example("one", source)] for source in sources), [lazy]], start=1):
        extract_features(examples, encoder, cache)
        # The Pillow image is the array's content.
        assert len(list(cache.iterdir())) == (number if number < 4 else number - 1)


def test_bad_images_are_left_out_and_named(encoder, photographs, cache):
    torn = photographs[0].image.with_name("torn.png")
    torn.write_bytes(photographs[0].image.read_bytes()[:300])
    text = photographs[0].image.with_name("text.jpg")
    text.write_text("not a photograph")
    examples = photographs.copy()
    examples[1] = Example("torn", torn)
    examples[5] = Example("text", text)
    examples.insert(6, Counting(Example("gone", "nowhere.png"), OSError("the network is down")))
    for _ in range(2):  # the second from the cache
        found = extract_features(examples, encoder, cache, batch_size=3)
        assert list(found.index) == ["photo 0", "photo 2", "photo 3", "photo 4", "photo 6"]
        assert list(found.index.values()) == list(range(5))
        good = [photographs[place] for place in (0, 2, 3, 4, 6)]
        np.testing.assert_allclose(found.array, expected(encoder, good), rtol=2e-3, atol=1e-4)
        assert [
            any(name in problem for problem in found.problems) for name in ("torn.png", "text.jpg", "gone")
        ] == [True] * 3
        assert len(found.problems) == 3
    assert Counting.loaded == 1


def test_a_batch_of_bad_images_only(encoder, photographs, cache):
    examples = [Counting(example, OSError("gone")) for example in photographs[:3]] + photographs[3:]
    found = extract_features(examples, encoder, cache, batch_size=3)
    assert list(found.index) == [f"photo {index}" for index in (3, 4, 5, 6)]


def test_nothing_but_bad_images_is_an_error(encoder, photographs, cache):
    with pytest.raises(FeatureError, match=r"None of 2 images.*photo 0: gone"):
        extract_features([Counting(example, OSError("gone")) for example in photographs[:2]], encoder, cache)
    with pytest.raises(FeatureError, match="None of 0 images"):
        extract_features([], encoder, cache)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_interrupted_work_goes_on_where_it_stopped(encoder, photographs, cache, error, capsys):
    breaking = [Counting(example, error if index == 4 else None) for index, example in enumerate(photographs)]
    with pytest.raises(type(error)):
        extract_features(breaking, encoder, cache, batch_size=2)
    capsys.readouterr()
    Counting.loaded = 0
    found = extract_features([Counting(example) for example in photographs], encoder, cache, batch_size=2)
    assert Counting.loaded == 3
    assert "4 are done" in capsys.readouterr().err
    np.testing.assert_allclose(found.array, expected(encoder, photographs), rtol=2e-3, atol=1e-4)


def test_rows_of_a_killed_process_are_cut_off(encoder, photographs, cache):
    whole = np.array(extract_features(photographs, encoder, cache).array)
    folder = folder_of(cache)
    (folder / "state.json").write_text(json.dumps({"position": 3, "bad": {}}))
    with open(folder / "features.f16", "r+b") as file:
        file.truncate(3 * whole[0].nbytes + 1001)
    found = extract_features([Counting(example) for example in photographs], encoder, cache)
    assert Counting.loaded == 4
    np.testing.assert_allclose(found.array, whole, rtol=2e-3, atol=1e-4)
    assert (folder / "features.f16").stat().st_size == whole.nbytes


@pytest.mark.parametrize("damage", ["no state", "torn state", "short data", "no data"])
def test_a_damaged_cache_is_made_anew(encoder, photographs, cache, damage):
    whole = np.array(extract_features(photographs, encoder, cache).array)
    state, data = folder_of(cache) / "state.json", folder_of(cache) / "features.f16"
    if damage == "short data":
        data.write_bytes(data.read_bytes()[:-1])
    elif damage == "torn state":
        state.write_text('{"position": 7')
    else:
        (state if damage == "no state" else data).unlink()
    found = extract_features([Counting(example) for example in photographs], encoder, cache)
    assert Counting.loaded == 7
    np.testing.assert_allclose(found.array, whole, rtol=2e-3, atol=1e-4)


def test_saves_in_between_survive_a_kill(encoder, photographs, cache, monkeypatch):
    monkeypatch.setattr(features_module, "BATCHES_BETWEEN_SAVES", 2)
    positions = []
    save = features_module._Cache.save
    monkeypatch.setattr(
        features_module._Cache, "save", lambda self: (positions.append(self.position), save(self))
    )
    extract_features(photographs, encoder, cache, batch_size=1)
    assert positions == [2, 4, 6, 7]


def test_of_several_with_one_id_the_first_counts(encoder, photographs, cache):
    twice = [*photographs[:3], Example("photo 1", photographs[5].image), photographs[4]]
    found = extract_features(twice, encoder, cache)
    assert found.index == {"photo 0": 0, "photo 1": 1, "photo 2": 2, "photo 4": 3}
    wanted = expected(encoder, [photographs[place] for place in (0, 1, 2, 4)])
    np.testing.assert_allclose(found.array, wanted, rtol=2e-3, atol=1e-4)


def test_a_full_disk_is_told_before_the_work_begins(encoder, photographs, cache, monkeypatch):
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: namedtuple("Usage", "total used free")(10, 0, 5000)
    )
    with pytest.raises(FeatureError, match=r"need 0\.1 MB more.*0\.0 MB left"):
        extract_features([Counting(example) for example in photographs], encoder, cache)
    assert Counting.loaded == 0


def test_a_folder_that_cannot_be_written_is_explained(encoder, photographs, tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(FeatureError, match="Name a folder"):
        extract_features(photographs, encoder, file)


def test_two_processes_do_not_write_the_same_features(encoder, photographs, cache):
    fcntl = pytest.importorskip("fcntl", reason="file locks of this kind are not on Windows")
    extract_features(photographs, encoder, cache)
    (folder_of(cache) / "state.json").unlink()
    with open(folder_of(cache) / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FeatureError, match="Another process"):
            extract_features(photographs, encoder, cache)


def test_values_beyond_float16_are_clipped(encoder, photographs, cache):
    loud = Encoder.from_config(encoder.get_config())
    norm = loud.backbone.get_layer("mix_norm")
    norm.gamma.assign(norm.gamma * 1e6)
    array = extract_features(photographs[:2], loud, cache).array
    assert array.max() == 65504
    assert np.isfinite(array).all()


def test_the_default_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "unrolled" / "features"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "unrolled" / "features"
