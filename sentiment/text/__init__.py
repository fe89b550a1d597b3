"""Text as words.

Read `words` first: the rules by which a text is split, and the ids of its words. `graph` does the same inside
a SavedModel, with the same rules, and `spans` says where in a text each word is.
"""
