"""The memory that training of the encoder needs and that there is, and the error where it is not enough."""

import os

import pytest

from captioning.data.load import load_examples
from captioning.model.encoder import Encoder
from captioning.training import memory
from captioning.training.batches import PIXELS_IN_MEMORY
from captioning.training.memory import (
    BYTES_AT_ONCE,
    BYTES_BESIDES,
    BYTES_KEPT,
    BYTES_TRAINED,
    available_bytes,
    check_memory,
    pixel_bytes,
    step_bytes,
)
from captioning.training.run import train_captioner
from shared.system.cli import UserError

GB = 10**9


class Trained:
    """As much of a captioner as an estimate looks at."""

    def __init__(self, blocks=0, image_size=32):
        self.encoder, self.image_size = Encoder("small_cnn", weights=None, image_size=image_size), image_size
        self.encoder.train_last(blocks)
        self.trainable_variables = self.encoder.trainable_variables


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Files in which the system says how much memory there is; None: it does not say."""
    monkeypatch.setattr(memory, "gpu_is_visible", lambda: False)

    def write(machine=None, container=None):
        for name, text in (("MEMINFO", machine), ("CGROUP_LIMIT", container)):
            file = tmp_path / name
            file.unlink(missing_ok=True)
            if text is not None:
                file.write_text(text)
            monkeypatch.setattr(memory, name, file)

    return write


def meminfo(kilobytes):
    return f"MemTotal:       99999999 kB\nMemFree:  7 kB\nMemAvailable:   {kilobytes} kB\nBuffers: 1 kB\n"


def test_a_step_keeps_what_the_trained_layers_give():
    """The last two blocks of small_cnn are a convolution and its norm, then a ReLU: 4 x 4 cells of 128."""
    kept = 3 * 4 * 4 * 128
    largest = 16 * 16 * 32  # the first convolution; its norm and ReLU give as many
    weights = 98 * 9 * 128 + 2 * 128  # of 96 channels and 2 of positions
    expected = 5 * (kept * BYTES_KEPT + largest * BYTES_AT_ONCE)
    validation = 5 * 4 * largest * BYTES_AT_ONCE
    assert expected < validation  # of four times as many images
    assert step_bytes(Trained(blocks=2), 5) == round(validation) + weights * BYTES_TRAINED + BYTES_BESIDES
    whole = Trained()
    layers = whole.encoder.backbone.layers
    numbers = sum(
        layer.output.shape[1] * layer.output.shape[2] * layer.output.shape[3] for layer in layers[1:]
    )
    trained = sum(variable.numpy().size for variable in whole.trainable_variables)
    expected = round(5 * (numbers * BYTES_KEPT + largest * BYTES_AT_ONCE))
    assert step_bytes(whole, 5) == expected + trained * BYTES_TRAINED + BYTES_BESIDES


def test_more_images_pixels_and_blocks_need_more():
    usual = step_bytes(Trained(), 8)
    assert usual < step_bytes(Trained(), 9)
    assert usual < step_bytes(Trained(image_size=40), 8)
    assert usual > step_bytes(Trained(blocks=6), 8) > step_bytes(Trained(blocks=1), 8)


def test_pixels_in_memory_have_a_limit():
    assert pixel_bytes(10, 7) == 7 * 10 * 10 * 3
    assert pixel_bytes(1000, 10**6) == PIXELS_IN_MEMORY


@pytest.mark.parametrize(
    ("machine", "container", "expected"),
    [
        (meminfo(5000), None, 5000 * 1024),
        (meminfo(5000), "max\n", 5000 * 1024),
        (None, None, None),
        ("MemTotal: 7 kB\n", None, None),
        ("MemAvailable: ? kB\n", "max", None),
    ],
)
def test_what_the_system_says_is_available(machine, container, expected, system):
    system(machine, container)
    assert available_bytes() == expected


def test_a_container_has_its_limit_less_what_the_process_has(system, tmp_path, monkeypatch):
    (tmp_path / "statm").write_text("9999 300 99 1 0 99 0\n")
    monkeypatch.setattr(memory, "STATM", tmp_path / "statm")
    page = os.sysconf("SC_PAGE_SIZE")
    system(meminfo(5_000_000), f"{4 * GB}\n")
    assert available_bytes() == 4 * GB - 300 * page
    system(meminfo(1_000_000), f"{4 * GB}\n")
    assert available_bytes() == 1_000_000 * 1024
    system(None, f"{4 * GB}\n")
    assert available_bytes() == 4 * GB - 300 * page


def test_this_machine_has_some_memory():
    assert available_bytes() is None or available_bytes() > 10**7


def test_too_little_memory_is_an_error_that_says_what_to_do(system):
    system(meminfo(450_000))
    check_memory(Trained(), 8, (100, 10))
    expected = (
        r"needs about 0\.6 GB of memory, but only 0\.5 GB are available: give fewer --encoder-blocks, a smal"
    )
    with pytest.raises(UserError, match=expected):
        check_memory(Trained(), 8, (50_000, 10))
    with pytest.raises(UserError, match="a smaller --batch-size or a smaller --image-size"):
        check_memory(Trained(), 500, (100, 10))


def test_unknown_memory_and_a_gpu_are_not_checked(system, monkeypatch):
    system()
    check_memory(Trained(), 10**6, (100, 10))
    system(meminfo(5))
    monkeypatch.setattr(memory, "gpu_is_visible", lambda: True)
    check_memory(Trained(), 8, (100, 10))


def test_a_run_is_refused_before_it_reads_an_image(
    source_file, tmp_path, settings, make_run, system, monkeypatch
):
    system(meminfo(5))
    monkeypatch.setattr(
        "captioning.training.run.PixelSource", lambda *arguments: pytest.fail("images were read")
    )
    config = settings(data=source_file)
    with pytest.raises(UserError, match="Training the encoder needs about"):
        train_captioner(config, make_run(tmp_path / "run", config), load_examples(source_file))
    frozen = settings(data=source_file, train_encoder=False)
    train_captioner(
        frozen, make_run(tmp_path / "frozen", frozen), load_examples(source_file), cache_dir=tmp_path
    )
