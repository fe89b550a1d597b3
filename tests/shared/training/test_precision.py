"""Which dtype policy a computer gets, of what its processor says of itself."""

import pytest

from shared.training import precision
from shared.training.precision import choose_policy

FAST = {
    "avx512": "flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 wbnoinvd",
    "amx": "flags\t\t: fpu amx_bf16 amx_tile",
    "arm": "Features\t: fp asimd svebf16 i8mm bf16 dgh",
    "second processor": "processor: 0\nflags: fpu\nprocessor: 1\nflags: fpu amx_bf16\n",
}
SLOW = {
    "avx2": "flags\t\t: fpu sse2 avx2 avx512f avx512_vnni",
    "half precision of another kind": "flags\t\t: avx512_fp16",
    "a part of a word": "flags\t\t: avx512_bf16x svebf16",
    "nothing": "",
}


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(precision, "_has_gpu", lambda: False)


@pytest.mark.parametrize("description", FAST.values(), ids=FAST.keys())
def test_processors_that_are_fast(description):
    assert choose_policy("auto", description) == "mixed_bfloat16"


@pytest.mark.parametrize("description", SLOW.values(), ids=SLOW.keys())
def test_processors_that_are_not(description):
    assert choose_policy("auto", description) == "float32"


@pytest.mark.parametrize("wanted", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("description", [FAST["amx"], "", None])
def test_what_was_asked_for_holds_everywhere(wanted, description):
    assert choose_policy(wanted, description) == wanted


def test_this_processor_is_read_where_the_system_describes_it(monkeypatch, tmp_path):
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(precision, "Path", lambda name: {"/proc/cpuinfo": file}[name])
    assert choose_policy("auto") == "float32"  # no such file, as on other systems
    file.write_text(FAST["arm"], encoding="utf-8")
    assert choose_policy("auto") == "mixed_bfloat16"
    file.write_text(SLOW["avx2"], encoding="utf-8")
    assert choose_policy("auto") == "float32"


def test_a_gpu_is_fast_whatever_the_processor(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "Path", lambda name: tmp_path / "absent")
    monkeypatch.setattr(precision, "_has_gpu", lambda: True)
    assert choose_policy("auto") == "mixed_bfloat16"
    assert choose_policy("float32") == "float32"
