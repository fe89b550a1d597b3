"""The description of this application: where its settings, presets and models are."""

from pathlib import Path

from sentiment.config import SentimentConfig
from sentiment.data.labels import LABELS_FILE
from shared.application import Application
from shared.runs.folder import RunFolder


def _load_run(run: RunFolder):
    from sentiment.model.classifier import SentimentClassifier

    return SentimentClassifier.from_run(run)


def _load_export(path: Path):
    from sentiment.model.exported import ExportedSentiment

    return ExportedSentiment(path)


APP = Application(
    "sentiment",
    SentimentConfig,
    default_model="imdb",
    load_run=_load_run,
    load_export=_load_export,
    export_file="sentiment.json",
    preset_files=(LABELS_FILE,),
)
load_model = APP.load
