"""Figures of a classifier: `metrics`, and their `comparison` with the `baseline` NB-SVM."""
