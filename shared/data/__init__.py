"""What the applications' sources of data share.

Read `source` first: `DataError`, a `Problem` for each row that is left out, the names of splits, and the
errors for a source that is unknown or empty. `tables` reads CSV, TSV and JSON Lines, `tfds` opens datasets of
tensorflow-datasets, and `packages` finds data that an installed package carries. `report` prints what a
source holds. A reader yields what it can use and a `Problem` for what it cannot: nothing is lost silently.
"""
