"""Generating text with a model; the generation itself is in `charlm.model.generate`.

`samples` reads prompts and formats texts for the script; `export` writes a SavedModel and checks that it
generates the same texts.
"""
