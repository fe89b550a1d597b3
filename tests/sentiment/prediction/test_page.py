import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest

from sentiment.prediction.inputs import Item
from sentiment.prediction.page import render
from sentiment.prediction.results import Result
from sentiment.text.words import split_words
from shared.system.output import write_whole

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Elements with their attributes, the text inside them, and whether each that begins ends."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_endtag(self, tag):
        assert self.elements[self.open.pop()][0] == tag

    def handle_data(self, data):
        self.text += data
        for place in self.open:
            self.elements[place][2].append(data)

    def named(self, tag, **wanted):
        wanted = {key.rstrip("_"): value for key, value in wanted.items()}
        return [
            (attributes, "".join(text))
            for name, attributes, text in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]


def explained(text, weights, counts=(0, 1, 2), error=0.001):
    explanation = SimpleNamespace(
        text=text, words=tuple(split_words(text)), weights=np.array(weights), label="<good>", error=error
    )
    values = (0.9, 0.5, 0.25)[: len(counts)]
    deletion = SimpleNamespace(counts=counts, probabilities=values, at_random=(0.9, 0.88, 0.8)[: len(counts)])
    probabilities = {"bad": 0.125, "<good>": 0.875}
    item = Item("reviews <1>.csv:3", 3, text, {}, None)
    return Result(item, probabilities, "<good>", explanation=explanation, deletion=deletion)


def test_words_have_their_weights_sides_and_strengths():
    html = render([explained("So GOOD, isn't it", [0.01, 2.0, -0.5, 0.8, -1.0, 0.0])], "imdb")
    page = Page(html)
    assert not page.open
    ((attributes, text),) = page.named("p", class_="text")
    assert text == "So GOOD, isn't it"
    assert attributes["dir"] == "auto"
    words = [(text, look) for look, text in page.named("span") if "title" in look]
    assert [(text, look["title"]) for text, look in words] == [
        *(("So", "+0.010"), ("GOOD", "+2.000"), (",", "-0.500")),
        *(("is", "+0.800"), ("n't", "-1.000"), ("it", "+0.000")),
    ]
    sides = [(look.get("class"), look.get("style")) for _, look in words]
    assert sides == [
        *((None, None), ("for", "--s:1.00"), ("against", "--s:0.25")),
        *(("for", "--s:0.40"), ("against", "--s:0.50"), (None, None)),
    ]
    # Without colour, the line below a word says the same.
    assert "underline" in html
    assert "dotted" in html


def test_probabilities_and_the_check_are_shown():
    page = Page(render([explained("good film", [1.0, 0.5])], "imdb"))
    assert [text for _, text in page.named("td", class_="number")] == [
        *("0.125", "0.875"),
        *("0", "1", "2", "0.900", "0.500", "0.250", "0.900", "0.880", "0.800"),
    ]
    assert [look["style"] for look, _ in page.named("div") if "style" in look] == [
        "width:12.5%",
        "width:87.5%",
    ]
    assert "Point at a word" in page.text
    assert page.named("h2") == [({}, "reviews <1>.csv:3: <good>")]


ATTACKS = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "&lt;b&gt; &amp; </p></section>"]


@pytest.mark.parametrize("text", ATTACKS)
def test_nothing_of_a_text_is_taken_for_html(text):
    result = explained(text, np.linspace(-1.0, 1.0, len(split_words(text))))
    others = [
        result._replace(explanation=None, deletion=None, note=text, reason=text),
        Result(Item(text, 4, None, {}, text), {}, None),
    ]
    html = render([result, *others], text)
    page = Page(html)
    assert not page.open
    allowed = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "section", "strong", "span"}
    assert {name for name, _, _ in page.elements} <= allowed | {"table", "tr", "th", "td", "div"}
    assert not any(key.startswith("on") for _, attributes, _ in page.elements for key in attributes)
    assert [shown for _, shown in page.named("p", class_="text")] == [text, text]
    assert page.text.count(text) >= 6


def test_the_page_needs_nothing_else():
    html = render([explained("good film", [1.0, 0.5])], "imdb")
    assert not re.search(r"https?:|url\(|@import|<script|<link|src=|href=", html)
    assert "default-src 'none'" in html
    assert "prefers-color-scheme: dark" in html
    assert html.startswith("<!DOCTYPE html>")


def test_odd_characters_can_be_written(tmp_path):
    text = "\u0645\u0631\u062d\u0628\u0627 a\x00b\x1b \ud83d \U0001f600\nnext"
    html = render([explained(text, [0.5] * len(split_words(text)))], "imdb")
    write_whole(tmp_path / "page.html", html)
    shown = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f]", shown)
    assert "\U0001f600" in shown
    assert "\u0645\u0631\u062d\u0628\u0627" in shown


def test_results_without_weights_are_shown_all_the_same():
    plain = explained("good film", [1.0, 0.5])._replace(explanation=None, deletion=None, note="too long")
    failed = Result(Item("reviews.csv:4", 4, None, {}, "not UTF-8"), {}, None)
    empty = explained("", [], counts=(0,))
    page = Page(render([plain, failed, empty], "imdb"))
    assert len(page.named("section")) == 3
    for expected in ("too long", "reviews.csv:4", "not UTF-8", "good film"):
        assert expected in page.text
    assert "random words" not in page.named("section")[2][1]


def test_rough_weights_are_told():
    page = Page(render([explained("good film", [1.0, 0.5], error=0.07)], "imdb"))
    assert "7% of their sum is missing" in page.text
