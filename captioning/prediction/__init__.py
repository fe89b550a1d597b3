"""From images to captions, as the scripts do it.

Read `stream` first: it captions images in batches while threads read the next ones. `inputs` finds the images
of a command line, `results` writes captions as text, CSV or JSON Lines, and `export` writes a captioner as a
SavedModel and checks it.
"""
