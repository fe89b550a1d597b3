"""Text as words.

Read `words` first: the rules by which a text is split, and the ids of its words. `known` says whether a model
knows enough of them to label the text. `graph` does both inside a SavedModel, by the same rules, and `spans`
says where in a text each word is.
"""
