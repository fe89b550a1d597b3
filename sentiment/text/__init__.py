"""Text as words: `words` in Python, `graph` inside a SavedModel, `spans` where words lie in a text."""
