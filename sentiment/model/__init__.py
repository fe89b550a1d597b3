"""The network and its SavedModel.

Read `classifier` first, then `batching`, which reads texts of any length; `language` is the language model
that a classifier may start from. `signatures` makes the functions of a SavedModel, and `exported` runs one
behind the same calls as the classifier; `answers` has what both say about texts.
"""

from sentiment.model.classifier import SentimentClassifier as SentimentClassifier
