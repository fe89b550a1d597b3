"""What the demos share, without a server; tests/end_to_end/test_demo.py has one."""

import os
import socket
import sys

import pytest

from shared.system.cli import UserError
from shared.visual import demo


def test_the_first_free_port_is_taken(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(demo, "PORTS", range(port, port + 20))
        assert port < demo.find_port("127.0.0.1") < port + 20
        with pytest.raises(UserError, match=f"Port {port} of 127.0.0.1 cannot be used: .*--port"):
            demo.find_port("127.0.0.1", port)
        monkeypatch.setattr(demo, "PORTS", [port])
        with pytest.raises(UserError, match=f"None of the ports {port} to {port} .*--port"):
            demo.find_port("127.0.0.1")
    assert demo.find_port("127.0.0.1", port) == port


@pytest.mark.parametrize("host", ["no-such-host.invalid", "::1", "a" * 70, "192.0.2.1"])
def test_an_address_that_the_computer_does_not_have(host):
    with pytest.raises(UserError, match=f"{host}.*(no IPv4 address|cannot be used)"):
        demo.find_port(host, 7860)


def test_without_gradio_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "True")
    with pytest.raises(UserError, match=r"pip install 'gradio>=6.31,<7'.*--no-warn-conflicts 'pillow>=13'"):
        demo.import_gradio()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_text_of_a_visitor_is_text():
    assert demo.headline("<b>", "{{x}}").count("<b>") == 0
    assert "{" not in demo.headline("<b>", "{{x}}")
    page = demo.embedded('<script>const f = (x) => `${x}"`;</script>')
    assert page.count("<script") == page.count("{") == 0
    assert page.count('"') == 6  # around three attributes
