"""What `python -m captioning.train` puts together: `run` first, then `batches` and `features`."""
