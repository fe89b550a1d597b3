"""Which dtype policy a computer trains fastest with."""

import re
from pathlib import Path

# What the kernel calls instructions for products of bfloat16 numbers, on x86 and Arm.
_FAST_BFLOAT16 = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")


def choose_policy(precision: str, cpu_description: str | None = None) -> str:
    """The Keras dtype policy for a wanted precision.

    Args:
        precision: `"float32"`, `"mixed_bfloat16"`, or `"auto"`: the second where there is a GPU or the
            processor multiplies bfloat16 numbers in hardware, else the first, as bfloat16 is slow without.
        cpu_description: text with the flags of the processor; by default that of this one, on Linux. On other
            systems nothing is known, and `"auto"` is float32.

    Returns:
        The name of the policy.

    Example:

    >>> choose_policy("auto", "flags: fpu sse2 avx512_bf16"), choose_policy("auto", "flags: fpu sse2 avx2")
    ('mixed_bfloat16', 'float32')
    """
    if precision != "auto":
        return precision
    if cpu_description is None:
        if _has_gpu():
            return "mixed_bfloat16"
        cpuinfo = Path("/proc/cpuinfo")
        cpu_description = cpuinfo.read_text(encoding="utf-8") if cpuinfo.is_file() else ""
    return "mixed_bfloat16" if _FAST_BFLOAT16.search(cpu_description) else "float32"


def _has_gpu() -> bool:
    import tensorflow as tf

    return bool(tf.config.get_visible_devices("GPU"))
