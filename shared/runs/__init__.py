"""A run on disk.

Read `folder` first: the files of a run, and how they are made, opened and resumed. `weights` is the file of
the best weights with its `checksums`, `hdf5` the guarded reader of those of earlier versions, `table` the
file of the history, `lock` keeps a second process out. `config` is the base of a run's settings, each with
its bounds at the field. `presets` makes a small model that ships from a run, and finds models by name;
`saving` lets models save themselves as a run. Nothing here imports Keras or TensorFlow at its top.
"""
