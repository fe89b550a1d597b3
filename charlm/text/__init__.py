"""Text as ids of characters, and back.

Read `characters` first: the vocabulary, and decoding of a stream. `graph` does the same inside a TensorFlow
graph, for the SavedModel.
"""
