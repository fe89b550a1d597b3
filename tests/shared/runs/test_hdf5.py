"""HDF5 files are read only where all their numbers are their own."""

import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

from shared.runs.hdf5 import check_hdf5, load_hdf5_weights

MOST = 1000


def hdf5(fill):
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        fill(content)
    return file


def external_storage(content):
    content.create_dataset("layer/0", (7,), "u1", external=[("/etc/passwd", 0, 7)])


def external_link(content):
    content["layer"] = h5py.ExternalLink("/other.h5", "/layer")


def soft_link(content):
    content["layer"] = h5py.SoftLink("/elsewhere")


def virtual(content):
    layout = h5py.VirtualLayout((7,), "f4")
    layout[:] = h5py.VirtualSource("/other.h5", "layer", (7,))
    content.create_virtual_dataset("layer", layout)


def references(content):
    content.create_dataset("layer", (1,), h5py.ref_dtype)


def text(content):
    content["layer"] = "text"


def never_written(content):
    content.create_dataset("layer", (10**9,), "f8", chunks=(100,))


def compressed(content):
    content.create_dataset("layer", data=np.zeros(10**6), compression="gzip")


def large_chunk(content):
    content.create_dataset("layer", (1,), "f8", maxshape=(None,), chunks=(10**6,), compression="gzip")


def many(content):
    for number in range(20):
        content[f"layer{number}"] = np.zeros(10)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (external_storage, "/layer/0 takes its numbers from another file"),
        (virtual, "/layer takes its numbers from another file"),
        (external_link, "layer is a link to elsewhere"),
        (soft_link, "layer is a link to elsewhere"),
        (references, "holds object, not numbers"),
        (text, "holds object, not numbers"),
        (never_written, "declares at least 8,000,000,000 bytes"),
        (compressed, "declares at least 8,000,000 bytes"),
        (large_chunk, "declares at least 8,000,000 bytes"),
        (many, "declares at least 1,040 bytes"),
    ],
)
def test_what_is_refused(fill, message):
    with pytest.raises(ValueError, match=message):
        check_hdf5(hdf5(fill), MOST)


def test_what_is_read():
    def fill(content):
        content["layer/0"] = np.zeros(50)
        content["again"] = content["layer"]  # a second name of the same group
        content["layer/up"] = content["/"]  # a circle
        content["count"] = np.int64(3)
        content["half"] = np.zeros(3, "V2")

    check_hdf5(hdf5(fill), MOST)


def make_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_no_numbers_of_other_files_enter_a_model(tmp_path, suffix):
    secret = tmp_path / "secret"
    secret.write_bytes(np.full(6, 7.5, np.float32).tobytes())
    path, model = tmp_path / f"model{suffix}", make_model()
    make_model().save(tmp_path / "whole.keras")
    make_model().save_weights(tmp_path / "whole.weights.h5")
    with h5py.File(tmp_path / "whole.weights.h5", "a") as file:
        kernel = next(name for name in list_datasets(file) if file[name].shape == (2, 3))
        del file[kernel]
        file.create_dataset(kernel, (2, 3), "f4", external=[(str(secret), 0, 24)])
    weights = (tmp_path / "whole.weights.h5").read_bytes()
    if suffix == ".keras":
        with zipfile.ZipFile(tmp_path / "whole.keras") as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                new.writestr(name, weights if name.endswith(".h5") else old.read(name))
    else:
        path.write_bytes(weights)
    with pytest.raises(ValueError, match="takes its numbers from another file"):
        load_hdf5_weights(model, path)
    assert not (model.get_weights()[0] == 7.5).any()


def list_datasets(file):
    names = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def test_a_keras_file_that_unpacks_to_far_more(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(2**22))
    with pytest.raises(ValueError, match="its weights unpack to 4,194,304 bytes"):
        load_hdf5_weights(make_model(), tmp_path / "bomb.keras")
