"""A server under load: python -m benchmarks.serving --model EXPORT --minutes 30.

Runs `server.py` of docs/serving.md on loopback; clients send good and bad images as fast as it answers.
Every good image must get the caption that it got at first, and every bad one an error. Needs the extra serve.
"""

import argparse
import base64
import http.client
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.machine import describe_machine
from captioning.prediction.inputs import find_inputs

ROOT = Path(__file__).parents[1]
BAD = [
    {"image": base64.b64encode(b"not an image").decode()},
    {"image": "*** not base64 ***"},
    {"image": None},
    {"picture": ""},
    {},
]


def server_code() -> str:
    """The file `server.py` in docs/serving.md."""
    text = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
    return re.search(r"<!-- server.py -->\n```python\n(.*?)```", text, re.DOTALL)[1]


def start_server(folder: Path, model: Path) -> tuple[subprocess.Popen, int]:
    """Starts the server, with its file and its log in a folder; returns the process and the port."""
    file = folder / "server.py"
    file.write_text(server_code(), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, file, model, str(port)], cwd=folder, stdout=log, stderr=log
        )
    return process, port


def stop_server(process: subprocess.Popen) -> None:
    """Ends the server and the processes that it started."""
    family = [process, *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        each.terminate()
    _, alive = psutil.wait_procs(family[1:], timeout=10)
    for each in [process, *alive]:
        each.kill()
    process.wait()


def wait_until_up(process: subprocess.Popen, port: int, seconds: float = 120) -> None:
    """Waits until the server has loaded its model."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            if ask(port, path="/health")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit("the server does not start")


def ask(port: int, body: object = None, path: str = "/predict") -> tuple[int, object]:
    """Status and answer of one request; a GET without a body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        headers = {"Content-Type": "application/json"}
        method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(method, path, content, headers)
        response = connection.getresponse()
        text = response.read().decode()
        return response.status, json.loads(text) if path == "/predict" else text
    finally:
        connection.close()


class Load:
    """Clients that send requests until `end`, and what came back."""

    def __init__(self, port: int, images: Sequence[bytes], bad_share: float = 0.3):
        self.port, self.bad_share = port, bad_share
        self.good = [{"image": base64.b64encode(image).decode()} for image in images]
        self.cut = [{"image": base64.b64encode(image[: len(image) // 3]).decode()} for image in images]
        self.expected = [ask(port, body)[1]["caption"] for body in self.good]
        self.counts, self.faults, self.seconds = Counter(), [], []

    def client(self, seed: int, end: float) -> None:
        draw = random.Random(seed)
        while time.monotonic() < end:
            is_bad = draw.random() < self.bad_share
            number = draw.randrange(len(self.good))
            body = draw.choice([*BAD, self.cut[number]]) if is_bad else self.good[number]
            began = time.perf_counter()
            status, answer = ask(self.port, body)
            self.seconds.append(time.perf_counter() - began)
            self.counts["bad" if is_bad else "good"] += 1
            is_right = status == 200 and (
                "error" in answer if is_bad else answer.get("caption") == self.expected[number]
            )
            if not is_right:
                self.faults.append((status, answer, number, is_bad))

    def run(self, clients: int, seconds: float, process: subprocess.Popen) -> list[float]:
        """Megabytes of the server and its workers, at twenty moments."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self.client, args=(seed, end)) for seed in range(clients)]
        for thread in threads:
            thread.start()
        memory = []
        while time.monotonic() < end:
            time.sleep(min(seconds / 20, max(end - time.monotonic(), 0)))
            memory.append(megabytes(process))
        for thread in threads:
            thread.join()
        return memory


def megabytes(process: subprocess.Popen) -> float:
    """Memory of a process and its descendants: that which they do not share, and a share of what they do."""
    family = psutil.Process(process.pid)
    return sum(each.memory_full_info().pss for each in [family, *family.children(recursive=True)]) / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("images", nargs="*", help="photographs (default: the samples of scikit-image)")
    parser.add_argument("--model", type=Path, required=True, help="folder of captioning.export")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=4)
    arguments = parser.parse_args(argv)
    images = [path.read_bytes() for path in find_inputs(arguments.images)]
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        process, port = start_server(Path(folder), arguments.model.resolve())
        try:
            wait_until_up(process, port)
            load = Load(port, images)
            memory = load.run(arguments.clients, 60 * arguments.minutes, process)
            last = [ask(port, body)[1]["caption"] for body in load.good]
        finally:
            stop_server(process)
    seconds = sorted(load.seconds)
    print(f"{arguments.clients} clients, {arguments.minutes:g} minutes, {len(images)} photographs")
    print(
        f"{load.counts['good']} good and {load.counts['bad']} bad requests, {len(load.faults)} wrong answers"
    )
    rate = len(seconds) / arguments.minutes / 60
    median, slow = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
    print(f"{rate:.1f} requests a second; seconds: median {median:.3f}, 99th percentile {slow:.3f}")
    print("memory in MB: " + " ".join(f"{each:.0f}" for each in memory))
    print(f"first and last answers equal: {last == load.expected}")
    for fault in load.faults[:5]:
        print("wrong:", fault)
    return 1 if load.faults or last != load.expected else 0


if __name__ == "__main__":
    raise SystemExit(main())
