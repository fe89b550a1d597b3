"""The export script."""

from sentiment import export
from shared.system.cli import run_script


def test_what_is_exported_already_or_in_the_way_is_refused(
    small_export, small_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert run_script(export.main, ["--model", str(small_export), "--out", str(tmp_path / "new")]) == 2
    assert "is an exported SavedModel, which can be neither trained nor exported" in capsys.readouterr().err
    assert run_script(export.main, ["--model", str(small_run.path), "--out", str(small_export)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
