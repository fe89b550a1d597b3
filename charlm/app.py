"""The description of this application: where its settings, presets and models are."""

from pathlib import Path

from charlm.config import CharLMConfig
from shared.application import Application
from shared.runs.folder import RunFolder


def _load_run(run: RunFolder):
    from charlm.model.char_lm import CharLM

    return CharLM.from_run(run)


def _load_export(path: Path):
    from charlm.model.exported import ExportedCharLM

    return ExportedCharLM(path)


APP = Application(
    "charlm",
    CharLMConfig,
    default_model="shakespeare",
    load_run=_load_run,
    load_export=_load_export,
    export_file="charlm.json",
)
load_model = APP.load
