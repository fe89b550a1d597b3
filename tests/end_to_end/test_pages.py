"""The pages of `APP.visualize` as a reader opens them: from disk, in a browser, without a network."""

import os

import keras
import numpy as np
import pytest

import captioning.visualize
import charlm.visualize
import sentiment.visualize
from charlm.model.char_lm import CharLM
from charlm.pages.page import make_page
from charlm.pages.weights import to_int8
from shared.system.cli import run_script
from tests.browser import browser

TEXT = 'KING LEAR:\nCome, "tell me," he said.\n' * 5


def in_eight_bits(model):
    """The model with the weights that its page has."""
    for variable in model.trainable_variables:
        values = np.asarray(variable)
        if values.ndim == 2:
            known = values[256:] if variable is model.embedding.embeddings else values
            scales, rounded = to_int8(known[:, 256:] if "output" in variable.path else known)
            rounded = rounded * scales
            if "output" in variable.path:
                rounded = np.concatenate([values[:, :256], rounded], axis=1)
            if variable is model.embedding.embeddings:
                rounded = np.concatenate([values[:256], rounded])
            variable.assign(rounded)


def test_the_page_of_a_character_model(tmp_path):
    keras.utils.set_random_seed(7)
    characters = "".join(dict.fromkeys(TEXT))
    model = CharLM(characters, units=11, depth=2, embedding_size=5)
    file = tmp_path / "page.html"
    other = CharLM(characters, cell="gru", units=7, depth=1, embedding_size=3)
    file.write_text(make_page({"first": model, "second": other}, TEXT, "a test"), encoding="utf-8")
    in_eight_bits(model)
    logits = np.asarray(model(model.vocabulary.encode(TEXT[:40])[None]))[0, :, 256:]
    with browser() as visit:
        visit.open(file)
        page = visit.page
        step = "(text) => { const lstm = makeLSTM(data.weights); const state = lstm.zeros();"
        step += "return [...text].map((c) => [...lstm.step(data.weights.characters.indexOf(c), state)]); }"
        np.testing.assert_allclose(page.evaluate(step, TEXT[:40]), logits, rtol=1e-3, atol=1e-5)
        # Every view follows the character under the pointer, and the keyboard.
        page.locator("#text span").nth(14).hover()
        assert page.locator("#here h3").inner_text() == "Character 15: e"
        assert page.locator("#memory .letters").first.inner_text().endswith("LEAR:\u21b5Come")
        assert page.locator("#memory .row").count() == page.locator("#here > div").count() == 2
        page.locator("#text span").nth(14).click()
        page.keyboard.press("ArrowRight")
        assert page.locator("#here h3").inner_text() == "Character 16: ,"
        # A chosen cell shows its gates, colours the text, and leads to where else it is active.
        page.locator(".cell button").nth(2).click()
        assert page.locator(".gate").all_inner_texts() == ["input gate i", "forget gate f", "output gate o"]
        assert page.locator("#colour").input_value() == "cell"
        page.locator("#elsewhere button").last.click()
        assert page.locator("#text .here").count() == 1
        assert page.locator("#here h3").inner_text() != "Character 16: ,"
        page.locator("#property").select_option("name of a speaker")
        assert all("speaker" in name for name in page.locator(".cell button").all_inner_texts())
        # It writes on, the same from the same seed.
        written = []
        for _ in range(2):
            page.locator("#write").click()
            page.locator("#written[aria-busy=false]").wait_for()
            written.append(page.locator("#written span").inner_text())
        assert written[0] == written[1]
        assert len(written[0]) == 400
        assert visit.errors == []


def test_the_page_of_the_preset(tmp_path, capsys):
    file = tmp_path / "page.html"
    text = 'PRINCE HAL:\nWhat says the "King"?\nHe says nothing, nor will he speak.\n' * 4
    assert run_script(charlm.visualize.main, ["--text", text, "--out", str(file)]) == 0
    assert "Open it in a browser" in capsys.readouterr().out
    assert file.stat().st_size <= 3_000_000
    with browser() as visit:
        visit.open(file)
        # In its own words, in eight bits: what follows is likely English, not noise.
        visit.page.locator("#write").click()
        visit.page.locator("#written[aria-busy=false]").wait_for()
        words = visit.page.locator("#written span").inner_text().lower().split()
        assert (
            sum(word.strip(".,:;!?") in {"the", "and", "to", "of", "i", "my", "you", "a"} for word in words)
            >= 8
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", ""], "The text is empty"),
        (["--file", "absent.txt"], "absent.txt"),
        (["--model", "absent"], "absent"),
    ],
)
def test_bad_input(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_script(charlm.visualize.main, [*arguments, "--out", "page.html"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_the_page_of_a_captioner(squares, tmp_path, capsys):
    """On the preset: a photograph in detail, and a gallery."""
    file = tmp_path / "page.html"
    arguments = ["--data", str(squares.file), "--limit", "6", "--out", str(file), "--num-beams", "2"]
    assert run_script(captioning.visualize.main, arguments) == 0
    assert file.stat().st_size <= 3_000_000
    with browser() as visit:
        visit.open(file)
        page = visit.page
        assert page.locator("#gallery figure").count() == 6
        scores = [float(score) for score in page.locator("#gallery .number").all_inner_texts()]
        assert scores == sorted(scores, reverse=True)
        assert page.locator("#choice button").count() == 6
        page.locator("#choice button").nth(2).click()
        words = page.locator(".caption").first.locator("button")
        words.nth(1).click()
        assert page.locator("#word").inner_text() == words.nth(1).inner_text()
        assert page.locator("#alternatives .taken span").first.inner_text() == words.nth(1).inner_text()
        assert page.locator("#tree .here").count() == 1
        page.keyboard.press("ArrowRight")
        assert page.locator("#word").inner_text() == words.nth(2).inner_text()
        # The photograph is dark but for where the network looked.
        drawn = "const c = document.querySelector('#photo canvas'); const d = c.getContext('2d');"
        drawn += "[...d.getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 3)"
        alphas = page.evaluate(f"() => {{ {drawn.replace('[...d', 'return [...d')} }}")
        assert min(alphas) < 20 < 100 < max(alphas)
        assert visit.errors == []


def test_the_page_of_a_classifier(tmp_path):
    file, texts = tmp_path / "page.html", tmp_path / "texts.txt"
    texts.write_text("A funny, warm film.\n<b>Dull</b> and far too long & loud.\n", encoding="utf-8")
    assert run_script(sentiment.visualize.main, ["--input", str(texts), "--out", str(file)]) == 0
    with browser() as visit:
        visit.open(file)
        page = visit.page
        assert page.locator("#label-title").inner_text().startswith("positive")
        page.locator("#choice button").nth(1).click()
        assert page.locator("#label-title").inner_text().startswith("negative")
        assert page.locator("#text").inner_text() == "<b>Dull</b> and far too long & loud."
        page.locator("#text .word", has_text="Dull").hover()
        assert page.locator("#here h3").inner_text() == "Dull"
        assert float(page.locator("#here dd").first.inner_text()) > 0
        before = page.locator("#chart line.here").get_attribute("x1")
        page.locator("#text").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("#here h3").inner_text() == "and"
        assert float(page.locator("#chart line.here").get_attribute("x1")) > float(before)
        assert visit.errors == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give texts"),
        (["--input", os.devnull], "no texts"),
        (["a film", "--label", "funny"], "no label 'funny'"),
        (["a film", "--model", "absent"], "absent"),
    ],
)
def test_bad_input_of_the_classifier(arguments, message, tmp_path, capsys):
    file = tmp_path / "page.html"
    try:
        status = run_script(sentiment.visualize.main, [*arguments, "--out", str(file)])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not file.exists()
