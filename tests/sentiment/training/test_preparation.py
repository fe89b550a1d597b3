"""What a run makes of its reviews before training."""

import dataclasses

import pytest

from sentiment.config import SentimentConfig
from sentiment.text.known import KnownWords
from sentiment.training.preparation import suit_surprise
from shared.runs.folder import RunFolder
from shared.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    (*Vocabulary.SPECIALS, "the", *(f"w{number}" for number in range(9000)), "el", "film")
)


@pytest.mark.parametrize(("given", "words"), [(None, "the"), (6.5, "el"), (None, "el")])
def test_labels_of_the_runs_own_kind_of_text_are_not_withheld(tmp_path, capsys, given, words):
    config = SentimentConfig(most_surprise=given)
    run = RunFolder.create(tmp_path / "run", dataclasses.asdict(config), "sentiment")
    texts = [[words] * 50 for _ in range(30)]
    found = suit_surprise(config, run, VOCABULARY, texts)
    raised = words == "el" and given is None
    assert (found == config) is not raised
    assert ("--most-surprise" in capsys.readouterr().out) is raised
    if raised:
        assert KnownWords(VOCABULARY).reason(texts[0])
        assert KnownWords(VOCABULARY, found.most_surprise).reason(texts[0]) is None
        assert RunFolder.open(run.path, "sentiment").config["most_surprise"] == found.most_surprise < 9.2
