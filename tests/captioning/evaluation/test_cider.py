import numpy as np
import pytest

from captioning.evaluation.cider import CiderD

cider_module = pytest.importorskip("pycocoevalcap.cider.cider", reason="needs the extra 'evaluation'")


def official(references, candidates):
    joined = {image: [" ".join(caption) for caption in captions] for image, captions in references.items()}
    hypotheses = {image: [" ".join(candidates[image])] for image in references}
    mean, scores = cider_module.Cider().compute_score(joined, hypotheses)
    return float(mean), np.asarray(scores, dtype=np.float64)


def assert_as_official(references, candidates):
    expected_mean, expected = official(references, candidates)
    mean, scores = CiderD(references).score({image: candidates[image] for image in references})
    assert isinstance(mean, float)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-9)
    assert mean == pytest.approx(expected_mean, abs=1e-9)
    return scores


def random_caption(rng, words, shortest=0, longest=13):
    return [f"w{word}" for word in rng.zipf(1.4, size=rng.integers(shortest, longest)) % words]


@pytest.mark.parametrize("seed", range(5))
def test_random_captions_score_as_the_official_code_says(seed):
    rng = np.random.default_rng(seed)
    images = [f"image {number}" for number in range(23)]
    references = {image: [random_caption(rng, 17) for _ in range(rng.integers(1, 7))] for image in images}
    candidates = {image: random_caption(rng, 19) for image in images}
    scores = assert_as_official(references, candidates)
    assert len(np.unique(scores)) > 10  # the comparison saw more than zeros


HAND_MADE = {
    "exact": (["a dog runs on grass"], "a dog runs on grass"),
    "nothing in common": (["a dog runs on grass"], "two boats sail"),
    "repeated beyond the reference": (["a dog runs"], "dog dog dog dog"),
    "repeated in the reference": (["dog dog dog", "a dog"], "dog dog"),
    "too long": (["a dog"], "a dog runs on grass beside a lake with a ball in its mouth"),
    "too short": (["a dog runs on grass beside a lake"], "a dog"),
    "one word": (["dog"], "dog"),
    "empty candidate": (["a dog runs"], ""),
    "empty reference": (["", "a dog runs"], "a dog runs"),
    "unknown words repeated": (["a dog runs"], "zebra zebra dog"),
    "same reference twice": (["a cat sleeps", "a cat sleeps"], "a cat sleeps"),
}


def test_hand_made_captions_score_as_the_official_code_says():
    references = {name: [text.split() for text in texts] for name, (texts, _) in HAND_MADE.items()}
    candidates = {name: text.split() for name, (_, text) in HAND_MADE.items()}
    scores = dict(zip(references, assert_as_official(references, candidates), strict=True))
    assert scores["exact"] == max(scores.values())
    assert scores["nothing in common"] == scores["empty candidate"] == 0


def test_a_perfect_long_caption_scores_ten():
    first, second = list("abcde"), list("fghi")
    _, scores = CiderD({1: [first] * 3, 2: [second]}).score({1: first, 2: second})
    np.testing.assert_allclose(scores, [10.0, 10.0])


def test_one_image_alone_has_no_weights():
    references = {"only": [["a", "dog"]]}
    assert assert_as_official(references, {"only": ["a", "dog"]}) == [0.0]


def test_words_that_all_images_share_weigh_nothing():
    references = {"x": [["the", "end"]], "y": [["the", "start"]]}
    scores = assert_as_official(references, {"x": ["the"], "y": ["start"]})
    assert scores[0] == 0
    assert scores[1] > 0


def test_some_images_keep_the_statistics_of_all():
    rng = np.random.default_rng(7)
    references = {image: [random_caption(rng, 11, shortest=3) for _ in range(3)] for image in range(7)}
    candidates = {image: random_caption(rng, 11, shortest=3) for image in range(7)}
    cider = CiderD(references)
    _, all_scores = cider.score(candidates)
    mean, some = cider.score({5: candidates[5], 2: candidates[2]})
    np.testing.assert_allclose(some, all_scores[[5, 2]], rtol=1e-12)
    assert mean == pytest.approx(all_scores[[5, 2]].mean())


def test_several_captions_of_one_image():
    rng = np.random.default_rng(8)
    references = {
        image: [random_caption(rng, 11, shortest=3) for _ in range(image + 1)] for image in range(5)
    }
    cider = CiderD(references)
    images = [3, 0, 3, 4, 3, 1]
    captions = [random_caption(rng, 11, shortest=3) for _ in images]
    singles = [cider.score({image: caption})[0] for image, caption in zip(images, captions, strict=True)]
    np.testing.assert_allclose(cider.score_each(images, captions), singles, rtol=1e-12)
    assert cider.score_each([], []).shape == (0,)


def test_scoring_leaves_the_statistics_alone():
    references = {"x": [["a", "dog"]], "y": [["a", "cat"]]}
    cider = CiderD(references)
    first = cider.score({"x": ["a", "new", "dog"]})[0]
    cider.score({"y": ["new", "new", "new"]})
    assert cider.score({"x": ["a", "new", "dog"]})[0] == first


@pytest.mark.parametrize(
    ("references", "error", "message"),
    [
        ({}, ValueError, "needs references"),
        ({"x": [["a"]], "y": []}, ValueError, "'y'"),
        ({"x": ["a dog"]}, TypeError, "Split it first"),
    ],
)
def test_bad_references_are_refused(references, error, message):
    with pytest.raises(error, match=message):
        CiderD(references)


def test_bad_candidates_are_refused():
    cider = CiderD({"x": [["a", "dog"]], "y": [["a", "cat"]]})
    with pytest.raises(ValueError, match="'z'"):
        cider.score({"x": ["a"], "z": ["a"]})
    with pytest.raises(ValueError, match="at least one"):
        cider.score({})
    with pytest.raises(TypeError, match="Split it first"):
        cider.score({"x": "a dog"})
    with pytest.raises(ValueError, match="2 and 1"):
        cider.score_each(["x", "y"], [["a"]])
