"""What `python -m captioning.predict` does: `results` are written as text, CSV or JSON Lines."""
