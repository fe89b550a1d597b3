import base64
import json
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from captioning.data.examples import Example
from captioning.model.captions import Caption
from captioning.pages.gallery import judge, spread
from captioning.pages.page import jpeg, render
from captioning.pages.views import View
from shared.decoding import Node
from shared.text.vocabulary import Vocabulary
from shared.visual.pages import LARGEST

VOCABULARY = Vocabulary.build([["a", "red", "dog"]])
A, RED = VOCABULARY.encode(["a", "red"])


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def make_view(name="dog.jpg", attention=True):
    tree = [
        Node(-1, Vocabulary.START, 0.0, np.array([A, Vocabulary.END]), np.log([0.75, 0.25])),
        Node(0, A, -0.29, np.array([RED, Vocabulary.END]), np.log([0.5, 0.25])),
    ]
    weights = np.array([[0.0, 0.25, 0.25, 0.5], [1.0, 0.0, 0.0, 0.0]])
    caption = Caption("a", ("a",), -1.7, 0.43)
    return View(name, noise(480, 480), [caption], [weights] if attention else None, tree)


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_a_page_has_captions_attention_and_tree():
    (shown,) = data_of(render([make_view("<dog>.jpg")], [], VOCABULARY, "photos"))["views"]
    (caption,) = shown["captions"]
    assert (caption["words"], caption["confidence"], caption["side"]) == (["a"], 0.43, 2)
    assert list(base64.b64decode(caption["attention"]["data"])) == [0, 128, 128, 255, 255, 0, 0, 0]
    assert shown["tree"][1] == {
        "parent": 0,
        "word": "a",
        "log_prob": -0.29,
        "next": [["red", 0.5], ["", 0.25]],
    }
    assert "<dog>" not in render([make_view("<dog>.jpg")], [], VOCABULARY, "photos")


def test_without_attention_the_page_says_so():
    page = render([make_view(attention=False)], [], VOCABULARY, "photos")
    assert "no attention of its own" in page
    assert "attention" not in data_of(page)["views"][0]["captions"][0]


def test_the_largest_page_is_small_enough():
    caption = Caption("a", ("a",), -1.7, 0.43)
    examples = [
        Example(f"{i}.jpg", noise(200, 200, i), ("a red dog runs along a beach",) * 5, "x")
        for i in range(120)
    ]
    gallery = judge(examples, [caption] * 120)
    page = render([make_view(f"{i}.jpg") for i in range(24)], gallery, VOCABULARY, "photos")
    assert len(page.encode()) <= LARGEST
    assert len(data_of(page)["gallery"]) == 120


def test_a_photograph_keeps_its_shape():
    url = jpeg(noise(300, 600), 100, 1e9)
    image = Image.open(BytesIO(base64.b64decode(url.partition(",")[2])))
    assert (image.format, image.size) == ("JPEG", (100, 50))
    assert len(jpeg(noise(300, 600), 100, 10)) < len(url)


def test_a_gallery_goes_from_best_to_worst():
    references = (("a red dog",), ("a cat on a mat",), ("two birds in a tree",))
    examples = [Example(str(i), noise(4, 4), captions, "validation") for i, captions in enumerate(references)]
    captions = [
        Caption(text, tuple(text.split()), 0.0, 1.0) for text in ("a boat", "a cat on a mat", "two birds")
    ]
    judged = judge(examples, captions)
    assert [one.example.image_id for one in judged] == ["1", "2", "0"]
    assert judged[0].cider == pytest.approx(1.0, abs=0.01)
    assert judged[2].cider == 0


def test_a_spread_keeps_both_ends():
    assert spread(range(3), 5) == [0, 1, 2]
    assert spread(range(101), 5) == [0, 25, 50, 75, 100]
