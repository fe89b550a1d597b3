"""Generating text with a model.

Read `generate` first: the functions `generate` and `stream`, and the `Writer` that holds texts in progress.
`samples` reads prompts and formats texts for the script; `export` writes a SavedModel and checks that it
generates the same texts.
"""
