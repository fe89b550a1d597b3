"""Text as ids of characters: `characters` in Python, `graph` the same inside a SavedModel."""
