"""Data in installed packages, none of which is imported."""

from shared.data.packages import package_file


def test_a_package_is_not_imported(tmp_path, monkeypatch):
    folder = tmp_path / "some_package"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('not to be imported')\n")
    (folder / "data" / "a.txt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert package_file("some_package", "data", "a.txt") == folder / "data" / "a.txt"
    assert package_file("some_package", "data") == folder / "data"
    assert package_file("some_package", "data", "b.txt") is None


def test_what_is_no_package():
    assert package_file("no_such_package_here", "a.txt") is None
    assert package_file("this", "a.txt") is None  # a module of one file
