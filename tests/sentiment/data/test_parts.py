"""The cut for validation."""

import hashlib
import random
from collections import Counter, defaultdict

import pytest

from sentiment.data import parts
from sentiment.data.parts import check_trainable, cut_validation
from sentiment.data.reviews import Review
from shared.data.source import DataError


def rows_of(counts, copies=1):
    return [
        Review(f"{label} {number}", label, f"{label}:{number}.{copy}")
        for label, count in counts.items()
        for number in range(count)
        for copy in range(copies)
    ]


def test_the_cut_is_the_head_of_an_order_by_hash():
    rows = rows_of({"a": 30, "b": 70, "c": 7})
    kept, held = cut_validation(rows, 0.1, seed=5)
    expected = set()
    for label, wanted in {"a": 3, "b": 7, "c": 1}.items():
        names = [row.text for row in rows if row.label == label]
        names.sort(key=lambda text: hashlib.sha256(b"5 " + text.encode()).hexdigest())
        expected |= set(names[:wanted])
    assert held == [row for row in rows if row.text in expected]
    assert kept == [row for row in rows if row.text not in expected]
    assert cut_validation(rows, 0.1, seed=6)[1] != held


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.37, 0.5, 0.99])
@pytest.mark.parametrize("sizes", [{"a": 2, "b": 3, "c": 101}, {"x": 57, "y": 57}])
def test_classes_keep_their_shares(sizes, fraction):
    kept, held = cut_validation(rows_of(sizes), fraction, seed=1)
    held = Counter(row.label for row in held)
    for label, size in sizes.items():
        assert held[label] == pytest.approx(min(max(fraction * size, 1), size - 1), abs=0.5)
    assert len(kept) == sum(sizes.values()) - held.total()


def test_the_cut_does_not_depend_on_the_order_of_rows():
    rows = [*rows_of({"a": 23, "b": 41}), *rows_of({"a": 5, "b": 9}, copies=3)]
    rows += [Review(f"a {number}", "b", "again") for number in range(10, 17)]
    expected = {row.text for row in cut_validation(rows, 0.3, seed=2)[1]}
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        assert {row.text for row in cut_validation(rows, 0.3, seed=2)[1]} == expected


def test_equal_texts_stay_together():
    rows = [*rows_of({"a": 19, "b": 31}, copies=3), *(Review(f"a {i}", "b", "") for i in range(19))]
    kept, held = cut_validation(rows, 0.2, seed=3)
    assert {row.text for row in kept}.isdisjoint(row.text for row in held)
    sides = defaultdict(set)
    for side in (kept, held):
        for row in side:
            sides[row.text].add(id(side))
    assert len(sides) == 50
    assert all(len(side) == 1 for side in sides.values())
    assert sum(row.text.startswith("a ") for row in held) == pytest.approx(0.2 * 19 * 4, abs=4)


def test_a_text_of_many_copies_is_not_cut_off_for_a_small_share():
    rows = [Review("many", "a", "")] * 50 + rows_of({"a": 3, "b": 50})
    held = cut_validation(rows, 0.1, seed=1)[1]
    assert Counter(row.label for row in held) == {"a": 3 - 1 + 1, "b": 5}
    assert "many" not in {row.text for row in held}
    # Where all are of many copies, the one of the fewest is.
    rows = [Review("many", "a", "")] * 50 + [Review("fewer", "a", "")] * 30
    assert {row.text for row in cut_validation(rows, 0.1, seed=1)[1]} == {"fewer"}


def test_a_column_of_names_is_no_column_of_labels(monkeypatch):
    kept, held = cut_validation(rows_of({f"name {number}": 2 for number in range(12)}), 0.5, seed=1)
    splits = {"train": kept, "validation": held}
    check_trainable("x.csv", splits, cut=True)
    monkeypatch.setattr(parts, "MOST_LABELS", 11)
    with pytest.raises(DataError, match=r"12 classes .* at most 11: does --label-column name the column of"):
        check_trainable("x.csv", splits, cut=True)
