"""Texts are drawn from the model's own probabilities, however they are cut; and the script around it."""

import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from charlm import generate as script
from charlm import writer
from charlm.characters import CharacterVocabulary
from charlm.config import CharLMConfig
from charlm.generate import generate, stream
from charlm.model import CharLM
from charlm.samples import as_text, check_output, read_prompt, write_stream
from charlm.writer import Writer
from shared.cli import UserError, run_script
from shared.runs import RunFolder

CHARACTERS = "helo\n\u00e9"
ODD = "h\u00e9l\U0001f600\u20ac\0"  # with characters that the vocabulary lacks


def make_model(characters=CHARACTERS, seed=3, bytes_too=True, **options):
    keras.utils.set_random_seed(seed)
    model = CharLM(characters, **{"units": 7, "depth": 2, "embedding_size": 5, **options})
    # As it is, a new model is indifferent; like this, its last characters matter.
    model.output_layer.kernel.assign(model.output_layer.kernel * 9.0)
    if not bytes_too:
        model.output_layer.bias.assign(np.where(np.arange(len(model.vocabulary)) < 256, -99.0, 0.0))
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def letters():
    """A model that writes characters of its vocabulary only."""
    return make_model(bytes_too=False)


class Recital:
    """Stands in for a model: recites bytes, whatever it is told."""

    vocabulary = CharacterVocabulary("ab")

    def __init__(self, recited: bytes):
        self.table = tf.one_hot(list(recited), len(self.vocabulary), on_value=99.0)

    def get_initial_state(self, batch_size):
        return [[tf.zeros((batch_size,), tf.int32)]]

    def step(self, tokens, states):
        ((place,),) = states
        return tf.gather(self.table, place % len(self.table)), [[place + 1]]

    def read(self, tokens, states):
        return None, states


# -- texts -----------------------------------------------------------------------------------------------


def write_in_numpy(model, prompts, count, seed, temperature):
    """Token by token from calls over the whole text so far, and the same random numbers."""
    texts = []
    for row, prompt in enumerate(prompts):
        ids = model.vocabulary.encode(prompt).tolist() or [model.vocabulary.start]
        written = []
        for place in range(count):
            logits = np.asarray(model(np.array([ids + written]))[0, -1], np.float64) / temperature
            cumulated = np.cumsum(np.exp(logits - logits.max()))
            chance = float(tf.random.stateless_uniform((len(prompts),), (seed, place))[row])
            written.append(int(np.searchsorted(cumulated, chance * cumulated[-1], side="right")))
        texts.append(written)
    return texts


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_texts_are_drawn_from_the_probabilities_of_the_model(model, temperature):
    prompts = ["hello", "", ODD]
    tokens = write_in_numpy(model, prompts, 9, seed=5, temperature=temperature)
    found = Writer(model, prompts, temperature=temperature, seed=5)
    assert found.draw(9).tolist() == tokens
    assert len({token for row in tokens for token in row}) > 9, "the texts must be of some variety"


def test_generate_makes_characters_of_those_tokens(letters):
    prompts = ["hello", "", ODD]
    tokens = write_in_numpy(letters, prompts, 9, seed=5, temperature=1.0)
    texts = generate(letters, prompts, 9, temperature=1.0, seed=5)
    assert texts == [letters.vocabulary.decode(row) for row in tokens]


@pytest.mark.parametrize("options", [{}, {"top_k": 3}, {"top_p": 0.6, "temperature": 1.7}], ids=str)
def test_a_stream_is_the_text_however_it_is_cut(model, options, monkeypatch):
    whole = generate(model, [ODD], 50, seed=7, **options)[0]
    assert len(whole) == 50
    for chunk, piece in ((1, 1), (7, 3), (64, 512)):
        monkeypatch.setattr(writer, "CHUNK", chunk)
        monkeypatch.setattr(writer, "PIECE", piece)
        pieces = list(stream(model, ODD, 50, seed=7, **options))
        assert "".join(pieces) == whole
        assert max(map(len, pieces)) <= chunk + 3, (
            "a piece has the characters of its tokens and of bytes before"
        )
        assert all(pieces)
        assert generate(model, [ODD], 50, seed=7, **options) == [whole]


def test_a_longer_text_begins_with_the_shorter_one(model):
    longer = generate(model, [ODD, "", "he"], 43, seed=8)
    for count in (0, 1, 29):
        shorter = generate(model, [ODD, "", "he"], count, seed=8)
        assert shorter == [text[:count] for text in longer]
        assert [len(text) for text in shorter] == [count] * 3, "bytes must not count as characters"


def test_samples_differ_and_the_first_is_that_of_one(letters):
    samples = generate(letters, ["he"] * 5, 30, seed=9)
    assert len(set(samples)) == 5
    assert generate(letters, ["he"], 30, seed=9) == samples[:1]
    assert generate(letters, ["he", "l", "he"], 30, seed=9)[0::2] == samples[0:3:2], (
        "prompts are their own rows"
    )


def test_limits_and_temperature_reach_the_draw(letters):
    assert generate(letters, ["h"], 30, seed=1, top_k=1) == generate(letters, ["h"], 30, seed=2, top_k=1)
    assert generate(letters, ["h"], 30, seed=1, top_k=1) == generate(letters, ["h"], 30, temperature=1e-9)
    assert generate(letters, ["h"], 30, seed=1, top_k=1) == generate(letters, ["h"], 30, top_p=1e-9)
    free = generate(letters, ["h"], 30, seed=1)
    assert generate(letters, ["h"], 30, seed=1, top_k=10**12) != free, "sorted, the same chance means another"
    assert generate(letters, ["h"], 30, seed=1, top_p=1.0) == free


def test_an_empty_prompt_begins_with_the_start(letters):
    assert generate(letters, [""], 30, seed=4) == generate(letters, ["\n"], 30, seed=4)
    without = make_model("ohel")
    assert generate(without, [""], 30, seed=4) == generate(without, ["o"], 30, seed=4)


def test_without_a_seed_one_is_drawn(model, monkeypatch):
    monkeypatch.setattr(writer, "draw_seed", lambda: 5)
    assert generate(model, ["he"], 20) == generate(model, ["he"], 20, seed=5)
    monkeypatch.undo()
    assert len({writer.draw_seed() for _ in range(9)}) > 1


def test_seeds_of_all_sizes(model):
    texts = [generate(model, [""], 20, seed=seed)[0] for seed in (0, 1, 2**31, 2**63 - 1, -1)]
    assert len(set(texts)) == 5


def test_a_character_of_several_bytes_appears_whole(monkeypatch):
    monkeypatch.setattr(writer, "CHUNK", 1)
    recital = Recital("\u00e9\u20ac\U0001f600a".encode())
    assert list(stream(recital, "", 6, seed=1)) == ["\u00e9", "\u20ac", "\U0001f600", "a", "\u00e9", "\u20ac"]
    monkeypatch.setattr(writer, "CHUNK", 64)
    assert generate(recital, ["", "a"], 3, seed=1) == ["\u00e9\u20ac\U0001f600"] * 2


def test_bytes_that_are_no_character_are_replaced():
    assert generate(Recital(b"a\xc3\xc3b"), [""], 5, seed=1) == ["a\ufffd\ufffdba"]


def test_texts_of_which_some_are_spelled_in_bytes_are_equally_long():
    class Mixed(Recital):
        def step(self, tokens, states):
            logits, states = super().step(tokens, states)
            in_bytes = tf.range(tf.shape(tokens)[0])[:, None] == 1
            return tf.where(in_bytes, logits, tf.one_hot(256, len(self.vocabulary), on_value=99.0)), states

    assert generate(Mixed("\U0001f600".encode()), ["", "", ""], 7, seed=1) == [
        "a" * 7,
        "\U0001f600" * 7,
        "a" * 7,
    ]


def test_the_weights_of_the_moment_write():
    changing = make_model()
    generate(changing, ["he"], 5, seed=1)
    size = len(changing.vocabulary)
    changing.output_layer.bias.assign(np.where(np.arange(size) == 258, 999.0, 0.0))
    assert generate(changing, ["he"], 5, seed=1) == ["lllll"]


@pytest.mark.parametrize("cell", ["gru", "simple"])
def test_other_cells_and_precisions(cell):
    half = make_model(cell=cell, dtype="mixed_bfloat16", bytes_too=False)
    (text,) = generate(half, [ODD], 20, seed=1)
    assert len(text) == 20
    assert set(text) <= set(CHARACTERS)


def test_a_prompt_is_read_piece_by_piece(model, monkeypatch):
    monkeypatch.setattr(writer, "PIECE", 4)
    read = []
    Writer(model, ["hello hello", "l", "hello hello"], seed=1, progress=read.append)
    assert read == [4, 4, 2], "a prompt that is there twice is read once, without its last token"


def test_no_prompts_no_texts(model):
    assert generate(model, [], 5, seed=1) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature must be above 0"),
        ({"temperature": -1.0}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 1.5}, "top_p must be above 0"),
        ({"num_chars": -1}, "num_chars must be at least 0"),
    ],
    ids=str,
)
def test_options_out_of_range(model, options, message):
    options = {"num_chars": 3, **options}
    with pytest.raises(ValueError, match=message):
        generate(model, ["h"], **options)
    with pytest.raises(ValueError, match=message):
        stream(model, "h", **options)  # before a piece is asked for


def test_a_text_in_place_of_texts_is_refused(model):
    with pytest.raises(ValueError, match="put it in brackets"):
        generate(model, "hello", 5)


# -- the script ------------------------------------------------------------------------------------------


def save_run(model, path):
    names = {field.name for field in dataclasses.fields(CharLMConfig)}
    config = CharLMConfig(
        **{name: value for name, value in model.settings.items() if name in names and value}
    )
    run = RunFolder.create(path, dataclasses.asdict(config), "charlm")
    model.vocabulary.save(run.vocabulary_file)
    model.save_weights(run.best_weights)
    return run


@pytest.fixture(scope="module")
def folder(letters, tmp_path_factory):
    return save_run(letters, tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    """Runs the script in a folder of its own, on the small model if no other is named."""
    monkeypatch.chdir(tmp_path)

    def run(*argv, model=folder):
        return run_script(script.main, ["--model", str(model), *map(str, argv)])

    return run


def test_the_prompt_comes_before_its_continuation(run, letters, capsys):
    assert run("--prompt", "hell", "--num-chars", 40, "--seed", 3) == 0
    expected = generate(letters, ["hell"], 40, seed=3)[0]
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


def test_checking_an_output_changes_nothing(tmp_path):
    old = tmp_path / "old.txt"
    old.write_text("kept")
    check_output(old)
    check_output(tmp_path / "new.txt", "-")
    assert old.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]


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
        (b"line one\nbro\xffken", "byte 12 (counted from 0), in line 2, stands 0xff"),
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


def test_a_folder_is_no_prompt(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        read_prompt(str(tmp_path))


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
        ["--beams", "3"],
    ],
    ids=" ".join,
)
def test_mistaken_options_end_with_status_2(options, run, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*options)
    assert stopped.value.code == 2
    assert options[-2] in capsys.readouterr().err


def test_help_and_mistakes_need_no_keras():
    code = (
        "import sys, charlm.generate as m\n"
        "for argv in (['--help'], ['--top-k', '0']):\n"
        "    try:\n        m.main(argv)\n"
        "    except SystemExit as end:\n        print('status', end.code)\n"
        "sys.exit(int(bool({'keras', 'tensorflow'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--num-chars" in done.stdout
    assert done.stdout.count("status 0") == done.stdout.count("status 2") == 1
