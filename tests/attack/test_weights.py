"""A stranger's run: its weights cannot bring another file of this computer into a preset."""

import dataclasses

import h5py
import numpy as np
import pytest

from charlm.app import APP
from charlm.config import NETWORK, CharLMConfig
from charlm.model.char_lm import CharLM
from charlm.text.characters import CharacterVocabulary
from shared.commands import preset_script
from shared.runs.folder import RunError, RunFolder


@pytest.fixture
def run(tmp_path):
    """A run of an earlier version, which may hold HDF5."""
    config = CharLMConfig(units=5, embedding_size=3)
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "charlm")
    vocabulary = CharacterVocabulary("abc")
    vocabulary.save(run.vocabulary_file)
    run.write_history([{"epoch": 1}])
    CharLM(vocabulary, **config.pick(NETWORK)).save_weights(run.path / "best.weights.h5")
    return run


def largest_dataset(file):
    names = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return max(names, key=lambda name: file[name].size)


@pytest.mark.slow
def test_a_preset_is_made_of_an_honest_run(run, tmp_path):
    assert preset_script(APP, [str(run.path), str(tmp_path / "preset")]) == 0
    assert (tmp_path / "preset" / "best.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("attack", ["storage", "link", "virtual"])
def test_no_other_file_gets_into_a_preset(run, tmp_path, attack):
    secret = tmp_path / "passwd"
    with h5py.File(run.path / "best.weights.h5", "a") as file:
        name = largest_dataset(file)
        shape, kind = file[name].shape, file[name].dtype
        count = file[name].size
        secret.write_bytes(np.full(count, 7.5, kind).tobytes())
        with h5py.File(tmp_path / "secret.h5", "w") as other:
            other.create_dataset("secret", data=np.full(shape, 7.5, kind))
        del file[name]
        if attack == "storage":
            file.create_dataset(name, shape, kind, external=[(str(secret), 0, kind.itemsize * count)])
        elif attack == "link":
            file[name] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "secret")
        else:
            layout = h5py.VirtualLayout(shape, kind)
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "secret", shape)
            file.create_virtual_dataset(name, layout)
    with pytest.raises(RunError, match=r"takes its numbers from another file|is a link to elsewhere"):
        preset_script(APP, [str(run.path), str(tmp_path / "preset")])
    assert not (tmp_path / "preset").exists()
