"""Runs a program of the lecture in this process."""

import importlib

import pytest


@pytest.fixture
def run(capsys, tmp_path):
    """`run(name, *options)` gives what the program printed and the picture it drew, as bytes."""

    def run_program(name, *options, suffix=".svg"):
        picture = tmp_path / f"{name}{suffix}"
        main = importlib.import_module(f"lecture.{name}").main
        assert main([*options, "--picture", str(picture)]) == 0
        return capsys.readouterr().out, picture.read_bytes()

    return run_program
