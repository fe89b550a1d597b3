"""Figures of a model on a text: `measures`, with `dynamic` evaluation and the `ngram` baseline."""
