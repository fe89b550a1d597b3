"""Runs training scripts in processes of their own that may be killed: a JSON object a line, in and out.

TensorFlow is imported once; each script runs in a fork, so that it starts at once. It is a process as any
other: SIGKILL ends it, and its locks with it.
"""

import importlib
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
APPS = ("captioning", "charlm", "sentiment")
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.rmtree")


def main() -> None:
    for app in APPS:
        importlib.import_module(f"{app}.training.run")
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


def run(job: dict) -> dict:
    """Runs `APP.train`; returns its status (-9: killed), its output, and the number of file events.

    Args:
        job: `app`, `arguments`, and optionally `event`: the process kills itself before the file event of
            this number; `seconds`: it is killed after this time; `size`: the largest file it may write.
    """
    output, events = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(output[0])
        os.close(events[0])
        os.dup2(output[1], 1)
        os.dup2(output[1], 2)
        attacked(job, events[1])
    os.close(output[1])
    os.close(events[1])
    timer = threading.Timer(job.get("seconds") or 3600, os.kill, (pid, signal.SIGKILL))
    timer.start()
    with open(output[0], encoding="utf-8", errors="replace") as pipe:
        text = pipe.read()
    with open(events[0], "rb") as pipe:
        count = len(pipe.read())
    _, status = os.waitpid(pid, 0)
    timer.cancel()
    return {"status": os.waitstatus_to_exitcode(status), "output": text, "events": count}


def attacked(job: dict, events: int) -> None:
    """The process of the script."""
    script = importlib.import_module(f"{job['app']}.train")
    from shared.system.cli import run_script

    left = job.get("event")

    def watch(name, arguments):
        nonlocal left
        if is_change(name, arguments):
            os.write(events, b".")
            if left is not None:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    if job.get("size"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["size"], job["size"]))
    status = 1
    try:
        status = run_script(script.main, job["arguments"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def is_change(name: str, arguments: tuple) -> bool:
    """Whether an audit event is about a file being changed."""
    if name == "open":
        return isinstance(arguments[2], int) and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return name in CHANGES


if __name__ == "__main__":
    main()
