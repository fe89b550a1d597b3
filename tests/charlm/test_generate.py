"""The script that lets a model write: where prompts come from, where texts go, and bad input."""

import dataclasses
import io
import json
import os
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from charlm import generate as script
from charlm.app import APP
from charlm.config import CharLMConfig
from charlm.model.char_lm import CharLM
from charlm.model.generate import Writer, generate
from charlm.prediction.samples import as_text, read_prompt, write_stream
from shared.runs.folder import RunFolder
from shared.system.cli import UserError, run_script

CHARACTERS = "helo\n\u00e9"
ODD = "h\u00e9l\U0001f600\u20ac\0"  # with characters that the vocabulary lacks


@pytest.fixture(scope="module")
def letters():
    """A model that writes characters of its vocabulary only."""
    keras.utils.set_random_seed(3)
    model = CharLM(CHARACTERS, units=7, depth=2, embedding_size=5)
    model.output_layer.bias.assign(np.where(np.arange(len(model.vocabulary)) < 256, -99.0, 0.0))
    return model


def save_run(model, path):
    config = CharLMConfig(units=7, depth=2, embedding_size=5)
    run = RunFolder.create(path, dataclasses.asdict(config), "charlm")
    model.vocabulary.save(run.vocabulary_file)
    run.save_best_weights(model)
    return run


@pytest.fixture(scope="module")
def folder(letters, tmp_path_factory):
    return save_run(letters, tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture(scope="module")
def loaded():
    """The models that the script loaded, by their folders: each is loaded, and its graphs are made, once."""
    return {}


@pytest.fixture
def run(folder, loaded, tmp_path, monkeypatch):
    """Runs the script in a folder of its own, on the small model if no other is named."""
    monkeypatch.chdir(tmp_path)

    def load_run(run):
        if run.path.absolute() not in loaded:
            loaded[run.path.absolute()] = APP.load_run(run)
        return loaded[run.path.absolute()]

    monkeypatch.setattr(script, "APP", dataclasses.replace(APP, load_run=load_run))

    def run(*argv, model=folder):
        return run_script(script.main, ["--model", str(model), *map(str, argv)])

    return run


def test_the_prompt_comes_before_its_continuation(run, letters, capsys):
    expected = generate(letters, "hell", 40, seed=3)
    for prompt in (["hell"], ["--prompt", "hell"]):
        assert run("--num-chars", 40, "--seed", 3, *prompt) == 0
        output = capsys.readouterr()
        assert output.out.rstrip("\n") == f"hell{expected}".rstrip("\n")
        assert output.out.endswith("\n")
        assert output.err == ""


def test_options_reach_the_model(run, letters, capsys):
    options = ["--temperature", 1.3, "--top-k", 4, "--top-p", 0.9, "--seed", 6, "--num-chars", 30]
    assert run("--prompt", ODD, *options) == 0
    expected = generate(letters, [ODD], 30, temperature=1.3, top_k=4, top_p=0.9, seed=6)[0]
    assert capsys.readouterr().out.startswith(ODD + expected)


def test_the_seed_that_was_drawn_is_told_and_repeats_the_text(run, capsys):
    assert run("--num-chars", 40) == 0
    first = capsys.readouterr()
    name, seed = first.err.split()
    assert name == "--seed"
    assert run("--num-chars", 40, "--seed", seed) == 0
    assert capsys.readouterr().out == first.out


def test_several_samples_have_lines_above_them(run, letters, capsys):
    assert run("--prompt", "he", "--num-chars", 9, "--num-samples", 3, "--seed", 2) == 0
    texts = generate(letters, ["he"] * 3, 9, seed=2)
    assert capsys.readouterr().out == as_text("he", texts)


def test_text_of_samples():
    assert as_text("a", ["b"]) == "ab\n"
    assert as_text("a", ["b\n", "c"]) == "--- sample 1 of 2 ---\nab\n--- sample 2 of 2 ---\nac\n"


def test_jsonl(run, letters, capsys):
    assert run("--prompt", ODD, "--num-chars", 9, "--num-samples", 3, "--seed", 2, "--format", "jsonl") == 0
    output = capsys.readouterr()
    records = [json.loads(line) for line in output.out.split("\n")[:-1]]
    options = {"temperature": 0.8, "top_k": None, "top_p": None, "seed": 2}
    texts = generate(letters, [ODD] * 3, 9, seed=2)
    assert records == [
        {"sample": number, "prompt": ODD, "text": text, **options} for number, text in enumerate(texts, 1)
    ]
    assert "\U0001f600" in output.out


def test_the_prompt_may_come_from_a_file_or_standard_input(run, capsys, monkeypatch):
    prompt = "l\r\no" + ODD.replace("\0", "") + "\n"
    options = ["--num-chars", 20, "--seed", 5]
    run("--prompt", prompt, *options)
    expected = capsys.readouterr().out
    assert expected.startswith(prompt)
    Path("prompt.txt").write_bytes(prompt.encode())
    assert run("--prompt-file", "prompt.txt", *options) == 0
    assert capsys.readouterr().out == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(prompt.encode()), encoding="utf-8"))
    assert run("--prompt-file", "-", *options) == 0
    assert capsys.readouterr().out == expected


def test_nothing_but_the_prompt(run, capsys):
    for prompt, expected in (("he", "he\n"), ("he\n", "he\n"), ("", "\n")):
        Path("prompt.txt").write_bytes(prompt.encode())
        assert run("--prompt-file", "prompt.txt", "--num-chars", 0, "--seed", 1) == 0
        assert capsys.readouterr().out == expected


def test_the_reading_of_a_long_prompt_is_shown_on_a_terminal_only(run, monkeypatch, capsys):
    monkeypatch.setattr(script, "LONG", 5)
    assert run("--prompt", "hello hello", "--num-chars", 1, "--seed", 1) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run("--prompt", "hello hello", "--num-chars", 1, "--seed", 1) == 0
    assert "11" in capsys.readouterr().err


def test_an_output_file_holds_what_standard_output_would(run, capsys):
    options = ["--prompt", ODD, "--num-chars", 20, "--seed", 5]
    run(*options)
    expected = capsys.readouterr().out
    Path("out.txt").write_text("an old and much longer file\n" * 30)
    assert run(*options, "--output", "out.txt") == 0
    assert Path("out.txt").read_bytes() == expected.encode()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("output", ["absent/out.txt", "taken", "prompt.txt"])
def test_an_unusable_output_is_told_before_the_model_is_looked_for(run, output, capsys):
    Path("taken").mkdir()
    Path("prompt.txt").write_text("kept")
    assert run("--prompt-file", "prompt.txt", "--output", output, model="none") == 2
    assert output in capsys.readouterr().err
    assert Path("prompt.txt").read_text() == "kept"
    assert sorted(os.listdir()) == ["prompt.txt", "taken"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_a_full_disk_is_a_clear_error(run, capsys):
    assert run("--num-chars", 5, "--seed", 1, "--output", "/dev/full") == 2
    assert "Cannot write /dev/full: No space left" in capsys.readouterr().err


def test_what_was_written_stays_after_ctrl_c(run, monkeypatch, capsys):
    def stopped(self, num_chars):
        yield ["first "]
        yield ["second"]
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "pieces", stopped)
    assert run("--prompt", "he ", "--seed", 1, "--output", "out.txt") == 130
    assert Path("out.txt").read_text() == "he first second\n"
    assert "stopped by Ctrl-C" in capsys.readouterr().err


def test_a_reader_that_leaves_ends_the_stream():
    written = []

    def write(text):
        if len(written) == 2:
            raise BrokenPipeError
        written.append(text)

    with pytest.raises(BrokenPipeError):
        write_stream(write, "a", iter("bcdefg"))
    assert written == ["a", "b"]


# -- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"line one\nbro\xffken", "byte 12 (counted from 0), in line 2, found 0xff"),
        (b"cut off \xe2\x82", "not UTF-8"),
        (b"NUL\0", "looks binary"),
        (None, "No such file"),
    ],
)
def test_a_prompt_file_that_is_no_text(run, content, message, capsys):
    if content is not None:
        Path("prompt.txt").write_bytes(content)
    assert run("--prompt-file", "prompt.txt", model="none") == 2
    error = capsys.readouterr().err
    assert message in error
    assert "prompt.txt" in error


def test_a_folder_or_a_url_is_no_prompt(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        read_prompt(str(tmp_path))
    with pytest.raises(UserError, match="is a URL"):
        read_prompt("https://example.org/letter.txt")


def test_a_prompt_with_half_a_character(run, capsys):
    assert run("--prompt", "he\udcff", "--seed", 1) == 2
    output = capsys.readouterr()
    assert "Character 2 of the text is U+DCFF" in output.err
    assert output.out == ""


def test_models_that_are_none(run, capsys, tmp_path):
    RunFolder.create(tmp_path / "captions", {}, "captioning")
    RunFolder.create(tmp_path / "new", {}, "charlm")
    for name, message in (
        ("absent", "There is no model 'absent'"),
        ("captions", "a run of 'captioning'; expected one of 'charlm'"),
        ("new", "no checkpoint yet"),
    ):
        assert run("--seed", 1, model=name) == 2
        assert message in capsys.readouterr().err


def test_an_edited_vocabulary_is_refused(run, letters, capsys, tmp_path):
    file = save_run(letters, tmp_path / "edited").vocabulary_file
    file.write_text(file.read_text(encoding="utf-8").replace('"h"', '"H"'), encoding="utf-8")
    assert run("--seed", 1, model="edited") == 2
    assert "was changed after it was written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--temperature", "0"],
        ["--temperature", "-1"],
        ["--temperature", "nan"],
        ["--temperature", "inf"],
        ["--temperature", "warm"],
        ["--top-k", "0"],
        ["--top-k", "2.5"],
        ["--top-p", "0"],
        ["--top-p", "1.01"],
        ["--top-p", "nan"],
        ["--num-chars", "-1"],
        ["--num-samples", "0"],
        ["--seed", "-1"],
        ["--seed", str(2**63)],
        ["--format", "csv"],
        ["--prompt", "a", "--prompt-file", "b"],
        ["text", "--prompt", "a"],
        ["text", "--prompt-file", "b"],
        ["--temp", "1"],
        ["--beams", "3"],
    ],
    ids=" ".join,
)
def test_mistaken_options_end_with_status_2(options, run, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*options)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert options[-2] in error
    assert error.count("\n") == 1


def test_a_temperature_of_zero_is_answered_with_greedy_decoding(run, capsys):
    with pytest.raises(SystemExit):
        run("--temperature", 0)
    assert "use --top-k 1" in capsys.readouterr().err
