"""The page of `unrolled demo` as a visitor uses it: the server that a user starts, in a real browser."""

import functools
import importlib
import importlib.util
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from urllib.parse import urlsplit

import pytest
from PIL import Image

import charlm.generate
from captioning.prediction.inputs import sample_images
from shared.system.cli import run_script
from tests.browser import browser
from tests.end_to_end.conftest import ROOT

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gradio") is None, reason="gradio is not installed: see `make demo`"
)
SEED, LENGTH = 7, 200
SLOW = 120_000  # milliseconds; on a busy computer, the first answer takes long
WRITTEN = ".written textarea"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def server():
    """The process of `python -m unrolled demo`, which may not be ready yet, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "unrolled", "demo", "--port", str(port)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        yield process, port
        process.kill()


@pytest.fixture(scope="module")
def visit(server):
    """A visit of the page, once it is there."""
    process, port = server
    with browser() as visit:
        line = process.stdout.readline()
        assert line == f"Open http://127.0.0.1:{port}/ in a browser. Ctrl-C ends it.\n"
        visit.page.set_default_timeout(SLOW)
        visit.page.goto(f"http://127.0.0.1:{port}/")
        visit.page.get_by_role("tab", name="Caption").wait_for()
        yield visit


def headline(page):
    """The large answer of the open tab; a new one has other words than the one before."""
    return page.locator(".headline:visible")


def open_tab(page, name):
    """Opens a tab. What is typed while its fields unfold is shown, but not always sent."""
    page.get_by_role("tab", name=name).click()
    page.wait_for_timeout(1500)


def retype(field, text):
    """Types a text in place of what is there, even if that is shown to be the same."""
    field.fill("")
    field.fill(text)
    field.blur()


def press(page, name, answer, before=lambda: None):
    """Clicks a button until there is an answer: on a busy computer a click may come before Gradio listens."""
    end = time.monotonic() + SLOW / 1000
    while True:
        before()
        page.get_by_role("button", name=name).click()
        try:
            return answer(timeout=SLOW / 12)
        except playwright.TimeoutError:
            if time.monotonic() > end:
                raise


def upload(page, file):
    page.locator("input[type=file]").first.set_input_files(file)


def test_a_photograph_gets_a_caption_and_shows_how_it_came_about(visit):
    page = visit.page
    cat, coffee = (str(path.absolute()) for path in sample_images()[:2])
    open_tab(page, "Caption")
    upload(page, coffee)
    headline(page).filter(has_text="coffee").wait_for()
    assert re.search(r"confidence 0\.\d\d", page.locator(".remark:visible").inner_text())
    details = page.frame_locator("iframe:visible")
    captions = details.locator(".caption")
    captions.first.wait_for()
    assert captions.count() == 3
    assert details.locator("h2").first.inner_text() == "coffee.png"
    word = captions.first.locator("button").nth(1)
    word.click()
    assert details.locator("#word").inner_text() == word.inner_text() == "plate"
    # An example, by a click.
    page.get_by_role("button").filter(has=page.locator("img[src*=motorcycle]")).click()
    headline(page).filter(has_text="motorcycle").wait_for()
    # Another upload in its place, and another search.
    upload(page, cat)
    headline(page).filter(has_text="cat").wait_for()
    page.get_by_role("button", name="Search options").click()
    page.get_by_label("Words that it must not have").fill("cat")
    press(page, "Describe again", headline(page).filter(has_not_text="cat").wait_for)
    page.get_by_label("Words that it begins with").fill("zyzzyva")
    press(page, "Describe again", page.get_by_text("zyzzyva").last.wait_for)
    page.get_by_label("Words that it begins with").fill("")
    page.get_by_label("Words that it must not have").fill("")


def huge_image() -> bytes:
    """A PNG that declares 81 million pixels, and has none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 9_000, 9_000, 8, 2, 0, 0, 0)
    parts = (
        struct.pack(f">I{len(part)}sI", len(part) - 4, part, zlib.crc32(part)) for part in (header, b"IDAT")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("broken.jpg", b"no <b>image</b>", "broken.jpg: not an image, or not of a format that can be read"),
        ("huge.png", huge_image(), "huge.png: the image is too large: 9000 x 9000 pixels"),
    ],
)
def test_a_bad_file_gets_the_message_of_the_scripts_and_then_a_good_one_works(
    name, content, message, visit, tmp_path
):
    page, bad, good = visit.page, tmp_path / name, tmp_path / "good.png"
    bad.write_bytes(content)
    Image.new("RGB", (31, 23), "red").save(good)
    open_tab(page, "Caption")
    upload(page, bad)
    page.get_by_text(message).wait_for()
    assert page.get_by_text(message).count() == 1
    assert headline(page).count() == 0
    upload(page, good)
    headline(page).wait_for()
    page.get_by_label("Close").first.click()


def test_a_review_gets_a_label_and_colours(visit):
    page = visit.page
    open_tab(page, "Read")
    review = page.get_by_label("A review")
    text = "A {{warm}} and funny film, ${1+1} <b>wonderful</b> actors; I loved it."
    press(page, "Read it", headline(page).filter(has_text="positive").wait_for, lambda: retype(review, text))
    assert re.search(r"^probability 0\.\d{3}$", page.locator(".remark:visible").inner_text())
    details = page.frame_locator("iframe:visible")
    details.locator("#text .for", has_text="wonderful").wait_for()
    assert details.locator("#text").inner_text() == text
    review.fill("Dull, far too long, and a waste of time.")
    press(page, "Read it", headline(page).filter(has_text="negative").wait_for)
    # A label is withheld from a text in another language, and there is nothing to colour.
    press(page, "Una película", headline(page).filter(has_text="I do not know").wait_for)
    assert "words" in page.locator(".remark:visible").inner_text()
    assert page.locator("iframe:visible").count() == 0
    review.fill(" ")
    press(page, "Read it", page.locator(".remark:visible").filter(has_text="no words").wait_for)


def test_a_text_is_written_on_as_the_script_writes_it(server, visit, capsys):
    arguments = ["Enter HAMLET", "--seed", str(SEED), "--num-chars", str(LENGTH), "--top-k", "9"]
    page = visit.page
    open_tab(page, "Write")
    page.get_by_label("The beginning").fill("Enter HAMLET")
    page.get_by_role("button", name="How it writes").click()
    page.wait_for_timeout(1000)  # until they are there
    for label, value in [("Characters to write", LENGTH), ("Top-k", 9), ("Seed", SEED)]:
        page.get_by_label(label).first.fill(str(value))
        page.get_by_label(label).first.blur()
    press(page, "Write on", page.get_by_text(f"Seed {SEED} writes this again.").wait_for)
    assert run_script(charlm.generate.main, arguments) == 0
    expected = capsys.readouterr().out.removesuffix("\n")
    written, length = page.locator(WRITTEN), f"document.querySelector('{WRITTEN}').value.length"
    page.wait_for_function(f"{length} == {len(expected)}")
    assert written.input_value() == expected
    # It stops when told to.
    page.get_by_label("Characters to write").first.fill("100000")
    page.get_by_label("Characters to write").first.blur()
    press(page, "Write on", functools.partial(page.wait_for_function, f"{length} > {len(expected)}"))
    page.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(500)
    stopped = written.input_value()
    page.wait_for_timeout(700)
    assert len(expected) < len(written.input_value()) == len(stopped) < 100_000


def test_nothing_scrolls_sideways_on_a_phone(visit):
    page = visit.page
    page.set_viewport_size(PHONE)
    for tab in ("Caption", "Write", "Read"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_nothing_was_asked_of_other_servers_and_nothing_went_wrong(visit):
    schemes = ("data", "blob", "about")
    asked = {urlsplit(url) for url in visit.requests}
    assert {url.hostname for url in asked if url.scheme not in schemes} == {"127.0.0.1"}
    # Gradio's own warning about a part of its own.
    assert [error for error in visit.errors if error != "Method not implemented."] == []


@pytest.mark.parametrize("command", ["captioning.demo", "charlm.demo", "sentiment.demo", "unrolled"])
def test_a_taken_port_is_an_error(command, server, visit, capsys):
    _, port = server
    arguments = ["--port", str(port)]
    main = importlib.import_module(command).main
    assert run_script(main, ["demo", *arguments] if command == "unrolled" else arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: Port {port} of 127.0.0.1 cannot be used: ")


def test_ctrl_c_ends_it_quietly(server, visit):
    process, _ = server
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")
