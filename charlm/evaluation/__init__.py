"""How well a model predicts a text.

Read `measures` first: it puts together the scores of `charlm.model.scoring`, `dynamic` evaluation (the model
keeps learning) and the `ngram` baseline. `report` says on which text, and formats the result.
"""
