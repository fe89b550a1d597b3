"""A full disk at any moment: status 2 and one sentence, the last checkpoint whole, and no dead end."""

import subprocess

import numpy as np
import pytest
from training import (
    APPS,
    STATUS,
    Victims,
    arguments_of,
    arrays_of,
    assert_same,
    make_data,
    result_of,
    with_resume,
)

SIZES = {False: 2, True: 10}


@pytest.fixture(scope="module")
def victims():
    victims = Victims()
    yield victims
    victims.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make_data(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(victims, data, tmp_path_factory):
    """The results of whole runs, and the size of the largest file, by application."""
    folder, results = tmp_path_factory.mktemp("undisturbed"), {}

    def run(app):
        if app not in results:
            done = victims.train(app, arguments_of(app, data, folder / app))
            assert done["status"] == STATUS[app], done["output"]
            largest = max(file.stat().st_size for file in (folder / app).rglob("*") if file.is_file())
            results[app] = result_of(folder / app), largest
        return results[app]

    return run


def assert_one_sentence(done) -> None:
    assert done["status"] == 2, done["output"]
    errors = [line for line in done["output"].splitlines() if line.startswith("error: ")]
    assert errors == done["output"].splitlines()[-1:]
    assert "Traceback" not in done["output"]


def assert_whole(out) -> None:
    """Each checkpoint that is there can be read."""
    for file in [*out.rglob("last.npz"), *out.rglob("previous.npz")]:
        assert arrays_of(file)
    assert not list(out.rglob(".partial-*"))


@pytest.mark.slow
@pytest.mark.parametrize("app", APPS)
def test_files_that_may_not_grow(app, long, victims, data, undisturbed, tmp_path):
    if app != "charlm" and not long:
        pytest.skip("make attack does this for all applications")
    expected, largest = undisturbed(app)
    for size in np.geomspace(150, 0.97 * largest, SIZES[long]).astype(int).tolist():
        out = tmp_path / str(size)
        arguments = arguments_of(app, data, out)
        assert_one_sentence(victims.train(app, arguments, size=size))
        assert_whole(out)
        done = victims.train(app, with_resume(arguments, out))
        assert done["status"] == STATUS[app], f"{size}: {done['output']}"
        assert_same(out, expected)


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of a size; only the superuser may do so."""
    mounted = []

    def mount(size):
        folder = tmp_path / f"disk{size}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.decode()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("app", APPS)
def test_a_disk_without_space(app, long, victims, data, undisturbed, small_disk):
    if not long:
        pytest.skip("make attack mounts small disks")
    expected, _ = undisturbed(app)
    total = sum(len(content) for content in expected.values() if isinstance(content, bytes))
    for size in np.geomspace(8192, 2 * total, SIZES[long]).astype(int).tolist():
        disk = small_disk(size)
        out = disk / "run"
        arguments = arguments_of(app, data, out)
        done = victims.train(app, arguments)
        if done["status"] == STATUS[app]:
            continue  # it was large enough
        assert_one_sentence(done)
        assert_whole(out)
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        done = victims.train(app, with_resume(arguments, out))
        assert done["status"] == STATUS[app], f"{size}: {done['output']}"
        assert_same(out, expected)
