"""Training a model: `run` puts together text, model, loss and validation for the loop in `shared.training`.

The batches, windows for truncated backpropagation through time, are `shared.training.windows`.
"""
