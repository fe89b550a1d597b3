"""The page on which one tries a model: what the demos of all applications share.

Gradio serves it, an optional package that `import_gradio` imports. It loads nothing from other servers, and
uploads are deleted.
"""

import contextlib
import gc
import html
import os
import socket
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.system.cli import Parser, UserError
from shared.system.escapes import visible
from shared.system.options import whole_number
from shared.system.output import print_error
from shared.system.signals import StopSignals

LOOPBACK = "127.0.0.1"
PORTS = range(7860, 7960)
UPLOADS = {"every": 60, "older": 900}  # seconds: how often uploads are deleted, and how old they are then
LARGEST_UPLOAD = "100mb"
ERROR_SECONDS = 20  # that an error message is shown

_FONTS = {
    "font": ["system-ui", "Segoe UI", "Helvetica", "Arial", "sans-serif"],
    "font_mono": ["ui-monospace", "Menlo", "Consolas", "monospace"],
}
_LEAD = """<h1>Try a recurrent network</h1>
<p>It runs on the computer that serves this page. What you enter goes nowhere else; uploads are deleted.
</p>"""

# A view follows the height of its page, which has the heading and the foot of this one.
_ON_LOAD = (
    "const page = this.contentDocument; page.body.classList.add('embedded');"
    "new ResizeObserver(() => { this.style.height = page.documentElement.offsetHeight + 'px'; })"
    ".observe(page.documentElement);"
)


def add_server_options(parser: Parser) -> None:
    """Adds `--host` and `--port`."""
    parser.add_argument(
        "--host",
        default=LOOPBACK,
        help="address to serve; 0.0.0.0 lets everybody on the network use the page (default: %(default)s, "
        "this computer alone)",
    )
    parser.add_argument(
        "--port",
        type=partial(whole_number, most=65_535),
        help=f"port to serve (default: the first free one from {PORTS[0]})",
    )


def import_gradio() -> ModuleType:
    """Gradio, without its telemetry.

    Raises:
        UserError: it is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read at the import
    try:
        import gradio
    except ImportError as error:
        raise UserError(
            "The demo needs Gradio, which is not installed. Run `pip install 'gradio>=6.31,<7'`, then "
            "`pip install --no-warn-conflicts 'pillow>=13'`."
        ) from error
    return gradio


def serve(tabs: Mapping[str, Callable[[], None]], arguments: Namespace) -> int:
    """Serves the page until Ctrl-C; returns the exit status.

    Args:
        tabs: for each title, a function that loads a model and adds its components.
        arguments: with the options of `add_server_options`.

    Raises:
        UserError: the address is not free, or Gradio is not installed.
    """
    port = find_port(arguments.host, arguments.port)
    if not is_loopback(arguments.host):
        print_error(f"warning: everybody on the network can use this page (--host {arguments.host}).")
    with tempfile.TemporaryDirectory(prefix="unrolled-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = _page(tabs)
        print(f"Open {_launch(page, arguments.host, port)} in a browser. Ctrl-C ends it.", flush=True)
        with StopSignals() as stop:
            while not stop.received:
                time.sleep(0.1)
            page.close(verbose=False)
    gc.freeze()  # otherwise Python collects garbage for seconds before it exits
    return 0


def find_port(host: str, port: int | None = None) -> int:
    """A free port of an address: `port`, or the first free one of `PORTS`.

    Raises:
        UserError: the port is taken, all are, or the computer does not have the address.
    """
    for candidate in PORTS if port is None else [port]:
        try:
            socket.create_server((host, candidate)).close()
        except (socket.gaierror, UnicodeError) as error:
            raise UserError(f"--host {host} is no IPv4 address. Expected one such as {LOOPBACK}.") from error
        except OSError as error:
            reason = error.strerror
        else:
            return candidate
    if port is not None:
        raise UserError(f"Port {port} of {host} cannot be used: {reason}. Name another one with --port.")
    raise UserError(
        f"None of the ports {PORTS[0]} to {PORTS[-1]} of {host} can be used. Name one with --port."
    )


def is_loopback(host: str) -> bool:
    """Whether only programs on this computer reach an address.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    return host == "localhost" or host.startswith("127.")


def _page(tabs: Mapping[str, Callable[[], None]]) -> Any:
    gr = import_gradio()
    cache = tuple(UPLOADS.values())
    with gr.Blocks(title="unrolled", analytics_enabled=False, delete_cache=cache) as page:
        gr.HTML(_LEAD)
        for title, add in tabs.items():
            with gr.Tab(title) if len(tabs) > 1 else contextlib.nullcontext():
                add()
    return page


def _launch(page: Any, host: str, port: int) -> str:
    """Starts the server in a thread; returns its address."""
    gr = import_gradio()
    style = (Path(__file__).parent / "demo.css").read_text(encoding="utf-8")
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        inbrowser=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        max_file_size=LARGEST_UPLOAD,
        theme=gr.themes.Default(primary_hue="blue", neutral_hue="slate", **_FONTS),
        css=style,
    )
    return address


@contextlib.contextmanager
def errors_shown() -> Iterator[None]:
    """Shows a `UserError` that is raised inside on the page, in the words of the scripts.

    Raises:
        gradio.Error: there was a `UserError`.
    """
    try:
        yield
    except UserError as error:
        message = escaped(visible(error))
        gr = import_gradio()
        raise gr.Error(message, duration=ERROR_SECONDS, print_exception=False) from None


def escaped(text: str) -> str:
    """A text as HTML for `gradio.HTML`, which fills in what is between braces.

    >>> escaped("<b> {{x}}")
    '&lt;b&gt; &#123;&#123;x}}'
    """
    return html.escape(text).replace("{", "&#123;")


def headline(text: str, remark: str) -> str:
    """The answer in large letters, and a remark below it, as HTML."""
    return f'<div class="headline">{escaped(text)}</div><div class="remark">{escaped(remark)}</div>'


def embedded(page: str) -> str:
    """A page of `APP.visualize` as an element of this one."""
    return f'<iframe title="details" onload="{escaped(_ON_LOAD)}" srcdoc="{escaped(page)}"></iframe>'
