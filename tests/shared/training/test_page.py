import json

import pytest

from shared.runs.folder import RunFolder
from shared.system.cli import UserError
from shared.training.page import points, training_page

ROWS = [
    {
        "epoch": epoch,
        "loss": 3.0 / epoch,
        "learning_rate": 0.01,
        "gradient_norm": 0.5,
        "clip_rate": 0.1,
        "val_nats": 2.0,
    }
    for epoch in (1, 2, 3)
]


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", {}, "test")


def test_a_page_shows_what_a_run_recorded(run):
    run.write_history(ROWS)
    run.append_samples("--- untrained\nqqqq")
    run.append_samples("--- epoch 1, 2.5 nats\nthe <b> the\n")
    run.append_samples("epoch 3\n  dog.jpg: a dog")
    records = [
        {"step": 300, "gradient_by_distance": {"1": 1.0, "2": 0.5, "4": 0.1}},
        {"step": 400, "epoch": 1, "largest_singular_value/a": 1.5, "spectral_radius/a": 0.9},
    ]
    (run.path / "diagnostics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert points(run) == [
        {"title": "untrained", "epoch": 0, "text": "qqqq"},
        {"title": "epoch 1, 2.5 nats", "epoch": 1, "text": "the <b> the"},
        {"title": "epoch 3", "epoch": 3, "text": "  dog.jpg: a dog"},
    ]
    page = training_page(run)
    for title in (
        "loss",
        "val nats",
        "gradient norm and learning rate",
        "clip rate",
        "spectral radius of the recurrent matrices",
    ):
        assert title in page
    assert "steps back" in page
    assert "<b>" not in page


def test_a_run_without_diagnostics_says_so(run):
    run.write_history(ROWS)
    page = training_page(run)
    assert "has no diagnostics" in page
    assert "Train more" not in page
    assert "val nats" in page


def test_a_run_without_an_epoch(run):
    with pytest.raises(UserError, match="no finished epoch yet"):
        training_page(run)
