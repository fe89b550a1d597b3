"""SIGKILL at any moment: no dead end, and after --resume bit for bit the undisturbed run.

`make attack` kills each application 60 times, or `ATTACK_KILLS` times.
"""

import os
import time

import numpy as np
import pytest
from training import APPS, STATUS, Victims, arguments_of, assert_same, make_data, result_of, with_resume

KILLS = int(os.environ.get("ATTACK_KILLS", "60"))


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


@pytest.mark.slow
@pytest.mark.parametrize("app", APPS)
def test_a_killed_run_resumes_exactly(app, long, victims, data, tmp_path):
    began = time.monotonic()
    whole = victims.train(app, arguments_of(app, data, tmp_path / "whole"))
    seconds = time.monotonic() - began
    assert whole["status"] == STATUS[app], whole["output"]
    expected = result_of(tmp_path / "whole")
    attacks = _attacks(whole["events"], seconds) if long else iter([{"event": int(0.6 * whole["events"])}])
    wanted, kills, runs = KILLS if long else 1, 0, 0
    while kills < wanted:
        runs += 1
        out = tmp_path / str(runs)
        done = {"status": None}
        while done["status"] != STATUS[app]:
            attack = next(attacks) if kills < wanted else {}
            done = victims.train(app, with_resume(arguments_of(app, data, out), out), **attack)
            assert done["status"] in (STATUS[app], -9), f"{attack}: {done['output']}"
            kills += done["status"] == -9
        assert_same(out, expected)
    print(f"{app}: {kills} kills in {runs} runs of {whole['events']} file events each, no difference")


def _attacks(events, seconds):
    """Each one of: an early file event, any file event, any moment."""
    random = np.random.default_rng(5)
    while True:
        kind = random.integers(3)
        if kind == 2:
            yield {"seconds": random.uniform(0.1, seconds)}
        else:
            yield {"event": int(random.integers(1, 15 if kind == 0 else events + 1))}
