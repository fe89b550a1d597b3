"""Words and their ids.

`vocabulary` splits captions into words, counts them, and keeps any list of tokens in a file with a checksum.
It imports neither NumPy nor TensorFlow.
"""
