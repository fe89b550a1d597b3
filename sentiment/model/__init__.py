"""The classifier, the language model that it may begin as, and its SavedModel.

Read `classifier` first, then `batching` and `language`; `signatures` makes a SavedModel of a classifier, and
`exported` runs one behind the same calls.
"""

from sentiment.model.classifier import SentimentClassifier as SentimentClassifier
