"""The stream of captions: order, batches, bad images, and reading ahead."""

import threading
from functools import partial

import numpy as np
import pytest

from captioning.prediction.stream import caption_images
from shared.system.cli import UserError


def solid(red):
    return np.full((4, 5, 3), (red, 0, 0), np.uint8)


def broken():
    raise UserError("broken.jpg: cut short")


@pytest.mark.parametrize("batch_size", [1, 3, 4, 7, 50])
def test_stream_keeps_order_and_batches(batch_size, fake_captioner):
    items = [(number, partial(solid, number)) for number in range(7)]
    results = list(caption_images(fake_captioner, items, batch_size=batch_size, workers=3, num_beams=5))
    assert [result.key for result in results] == list(range(7))
    assert [result.captions[0].text for result in results] == [f"red is {number}" for number in range(7)]
    assert max(fake_captioner.batches) == min(batch_size, 7)
    assert len(fake_captioner.batches) == -(-7 // batch_size)
    assert fake_captioner.options[0] == {"num_beams": 5}


def test_stream_continues_after_bad_images(fake_captioner):
    def odd():
        raise ZeroDivisionError("what a header")

    items = [(0, broken), (1, partial(solid, 9)), (2, odd), (3, broken), (4, partial(solid, 8))]
    results = list(caption_images(fake_captioner, items, batch_size=2))
    assert [result.error for result in results] == [
        "broken.jpg: cut short",
        None,
        "ZeroDivisionError: what a header",
        "broken.jpg: cut short",
        None,
    ]
    assert [len(result.captions) for result in results] == [0, 1, 0, 0, 1]


def test_a_batch_without_a_good_image_does_not_reach_the_model(fake_captioner):
    list(caption_images(fake_captioner, [(0, broken), (1, broken)], batch_size=2))
    assert fake_captioner.batches == []


def test_stream_reads_only_so_far_ahead(fake_captioner):
    taken = []

    def endless():
        number = 0
        while True:
            taken.append(number)
            yield number, partial(solid, number % 256)
            number += 1

    stream = caption_images(fake_captioner, endless(), batch_size=3)
    assert [next(stream).key for _ in range(4)] == [0, 1, 2, 3]
    assert len(taken) <= (2 + 2 + 2) * 3  # given back, with the model, and read
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("caption-images")]


def test_the_next_images_are_read_while_the_model_runs(fake_captioner):
    read = threading.Event()

    class Waiting(type(fake_captioner)):
        def caption_pixels(self, images, **options):
            # Ends only if another thread reads the second batch meanwhile.
            assert read.wait(timeout=30)
            return super().caption_pixels(images, **options)

    def second():
        read.set()
        return solid(2)

    items = [("first", partial(solid, 1)), ("second", second)]
    assert len(list(caption_images(Waiting(), items, batch_size=1, workers=1))) == 2
