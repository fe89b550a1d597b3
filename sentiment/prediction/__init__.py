"""What a trained model can do.

Read `stream` first: texts (`inputs`) go through a model, batch by batch, and become results (`results`),
written as text, JSON Lines or CSV. `explain` weighs the words of a text, `shading` shows the weights in a
terminal, and `page` on an HTML page. `options` is the command line of `python -m sentiment.predict`. `export`
writes a SavedModel and checks it.
"""
