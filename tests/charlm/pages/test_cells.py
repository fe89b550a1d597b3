import numpy as np
import pytest

from charlm.pages.cells import properties, sorted_units

TEXT = 'KING HENRY:\nHe said "no (2)."\n'


def marked(name):
    (values,) = [prop.values for prop in properties(TEXT) if prop.name == name]
    return "".join(character for character, value in zip(TEXT, values, strict=True) if value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("inside quotation marks", '"no (2).'),
        ("inside brackets", "(2"),
        ("name of a speaker", "KING HENRY:"),
        ("capital letter", "KINGHENRYH"),
        ("digit", "2"),
        ("end of a sentence", '."\n'),
    ],
)
def test_where_a_property_holds(name, expected):
    assert marked(name) == expected


def test_positions():
    values = {prop.name: prop.values for prop in properties("ab c\nde")}
    assert values["position in the line"].tolist() == [0, 1, 2, 3, 0, 1, 2]
    assert values["position in the word"].tolist() == [0, 1, 0, 1, 0, 1, 2]


def test_a_text_without_differences_has_no_properties():
    assert [prop.name for prop in properties("a")] == []


def test_the_cell_that_tells_a_property_is_named_after_it():
    random = np.random.default_rng(1)
    text = TEXT * 9
    found = properties(text)
    quotes = next(prop.values for prop in found if prop.name == "inside quotation marks")
    cells = random.uniform(-0.1, 0.1, (len(text), 11))
    cells[:, 4] -= quotes
    units = sorted_units(cells, found, 5)
    assert (units[0].index, units[0].property) == (4, "inside quotation marks")
    assert units[0].correlation < -0.9
    assert len(units) == len({unit.index for unit in units}) == 5
    assert [abs(unit.correlation) for unit in units] == sorted(
        (abs(unit.correlation) for unit in units), reverse=True
    )


def test_without_properties_the_most_active_cells():
    cells = np.array([[0.0, 0.5, -0.2], [0.0, -0.5, 0.2]])
    assert [unit.index for unit in sorted_units(cells, [], 2)] == [1, 2]


def test_a_constant_cell_tells_nothing():
    units = sorted_units(np.ones((len(TEXT), 2)), properties(TEXT), 2)
    assert [unit.correlation for unit in units] == [0.0, 0.0]
