"""What the applications' sources of data share.

Read `source` first: `DataError`, a `Problem` for each row that is left out, the names of splits, and the
errors for a source that is unknown or empty. `encodings` decodes text files, `tables` reads CSV, TSV and JSON
Lines, `objects` reads data in memory, `tfds` opens datasets of tensorflow-datasets, and `packages` finds data
that an installed package carries. `report` prints what a source holds. A reader yields what it can use and a
`Problem` for what it cannot: nothing is lost silently.
"""
