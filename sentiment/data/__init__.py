"""Labelled texts from tables, folders, packages and tensorflow-datasets, and their parts.

`reviews` has the types (`Review`, `ReviewData`): read it first, then `load`, with `load_reviews`,
`load_texts` and the table of sources. `tables`, `folders`, `tfds` and `imdb` read one kind of source each:
they yield a split with a review, or a `Problem`; `memory` takes texts that are in memory. `parts` cuts
validation from train; `labels` renames labels and keeps their names in a run folder; `report`
says what a source holds (`python -m sentiment.data`).
"""

from sentiment.config import SOURCES as SOURCES
from sentiment.data.load import load_reviews as load_reviews
from sentiment.data.load import load_texts as load_texts
