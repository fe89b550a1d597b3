"""What `python -m captioning.train` puts together.

Read `run` first: it connects data, model, loss and validation to the training loop of `shared.training`.
`batches` gives the batches of an epoch; `features` computes the grid features of a frozen encoder once and
caches them.
"""
