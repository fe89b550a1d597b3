"""Pages opened from disk in a real browser."""

import contextlib
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


class Visit:
    """A page in the browser, what it asked of the network, and what went wrong in it."""

    def __init__(self, page):
        self.page, self.requests, self.errors = page, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text))

    def open(self, file):
        """Opens a file; it must ask for nothing but itself."""
        self.page.goto(file.as_uri())
        assert [url for url in self.requests if not url.startswith("data:")] == [file.as_uri()]
        assert self.errors == []


@contextlib.contextmanager
def browser():
    """A `Visit`; skips the test where there is no browser, or no Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"no browser is installed; expected one of {', '.join(NAMES)}")
    with playwright.sync_playwright() as run:
        # A sandbox needs rights that a container does not give.
        chromium = run.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield Visit(chromium.new_page(viewport={"width": 1200, "height": 900}))
        chromium.close()
