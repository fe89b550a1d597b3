"""What `python -m charlm.train` puts together: `run`."""
