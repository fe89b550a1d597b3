"""How good a classifier is.

Read `metrics` first, then `comparison`, which measures a model and the `baseline` NB-SVM on the same texts.
`tables` and `report` are what `python -m sentiment.evaluate` prints and writes, `options` its command line.
"""
