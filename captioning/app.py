"""The description of this application: where its settings, presets and models are."""

from pathlib import Path

from captioning.config import CALIBRATION_FILE, CaptioningConfig
from shared.application import Application
from shared.runs.folder import RunFolder


def _load_run(run: RunFolder):
    from captioning.model.captioner import Captioner

    return Captioner.from_run(run)


def _load_export(path: Path):
    from captioning.model.exported import ExportedCaptioner

    return ExportedCaptioner(path)


APP = Application(
    "captioning",
    CaptioningConfig,
    default_model="photos",
    load_run=_load_run,
    load_export=_load_export,
    export_file="captioner.json",
    optional_files=(CALIBRATION_FILE,),
)
load_model = APP.load
