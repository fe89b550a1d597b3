"""Labelled texts from wherever they are kept, and their parts.

`reviews` has `load_reviews`; `folders`, `tables` and `imdb` read sources, `parts` cuts validation off,
`labels` keeps their names in a run, and `report` says what a source holds (`python -m sentiment.data`).
"""

from sentiment.data.reviews import load_reviews as load_reviews
