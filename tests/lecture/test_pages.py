"""The pages: both languages say the same, name what exists, and solve their exercises."""

import ast
import re
from pathlib import Path

import pytest

from lecture.__main__ import PAGES, main

DOCS = Path(__file__).parents[2] / "docs" / "lecture"
LANGUAGES = ("en", "es")
HEADINGS = {
    "en": ["Equations", "Command", "Exercise"],
    "es": ["Ecuaciones", "Comando", "Ejercicio"],
}
NUMBERED = list(enumerate(PAGES, 1))


def page(language, number, name):
    return (DOCS / language / f"{number:02}-{name}.md").read_text(encoding="utf-8")


def solution(text):
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return code


@pytest.mark.parametrize(("number", "name"), NUMBERED)
def test_both_languages_have_the_same_command_output_picture_and_solution(number, name):
    pages = {language: page(language, number, name) for language in LANGUAGES}
    for language, text in pages.items():
        assert re.findall(r"^## (.*)", text, re.MULTILINE) == HEADINGS[language]
        assert re.match(rf"# {number}\. ", text)
    blocks = [
        re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE) for text in pages.values()
    ]
    assert blocks[0] == blocks[1]
    assert blocks[0][0].startswith(f"$ python -m lecture.{name}\n")
    assert len(blocks[0][0].splitlines()) > 1
    pictures = [re.findall(r"!\[[^\]]+\]\(\.\./pictures/([^)]+)\)", text) for text in pages.values()]
    assert pictures[0] == pictures[1]
    assert pictures[0][0].startswith(name)
    seconds = [re.search(r"\*\*(\d+) s\*\*", text)[1] for text in pages.values()]
    assert seconds[0] == seconds[1]
    trees = [ast.dump(ast.parse(solution(text))) for text in pages.values()]
    assert trees[0] == trees[1]


@pytest.mark.parametrize(("number", "name"), NUMBERED)
@pytest.mark.slow
def test_the_solution_of_the_exercise_holds(number, name):
    code = solution(page("en", number, name))
    assert "assert" in code
    exec(compile(code, f"{name}.md", "exec"), {"__name__": name})


@pytest.mark.parametrize("language", LANGUAGES)
def test_links_lead_somewhere_and_the_index_has_every_page(language):
    files = sorted((DOCS / language).glob("*.md"))
    names = [f"{number:02}-{name}.md" for number, name in NUMBERED]
    assert [file.name for file in files] == [*names, "README.md"]
    for file in files:
        links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text(encoding="utf-8"))
        assert [link for link in links if "://" not in link and not (file.parent / link).exists()] == []
    index = (DOCS / language / "README.md").read_text(encoding="utf-8")
    assert [name for name in names if f"({name})" not in index] == []


def test_pictures_are_small_and_shown():
    shown = "".join(file.read_text(encoding="utf-8") for file in DOCS.glob("en/*.md"))
    for picture in (DOCS / "pictures").iterdir():
        assert f"pictures/{picture.name}" in shown
        assert picture.stat().st_size < 400_000


def test_the_list_names_every_program(capsys):
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert [name for name in PAGES if f"python -m lecture.{name} " not in printed] == []
