"""What a benchmark ran on, as the first lines of its output."""

import os
import platform
from importlib import metadata
from pathlib import Path


def describe_machine() -> str:
    """Processor, cores that this process may use, system, and the versions that decide on speed."""
    names = ("numpy", "tensorflow", "keras", "pillow")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    return (
        f"{_processor()}, {_cores()} cores, {platform.system()} {platform.machine()}\n"
        f"Python {platform.python_version()}, {versions}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown processor"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
