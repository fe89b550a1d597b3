"""A run on disk.

Read `folder` first: the files of a run, and how they are made, opened and resumed. `config` is the base of
its settings, each with its bounds at the field. `presets` makes a small model that ships from a run, and
finds models by name. Nothing here imports Keras or TensorFlow at its top.
"""
