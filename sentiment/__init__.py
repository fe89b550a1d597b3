"""Sentiment analysis: a recurrent network reads reviews of any length and says how sure it is.

The public names live in their modules, so that parsing a command line imports neither Keras nor TensorFlow:
`sentiment.model.SentimentClassifier`, `sentiment.text.words.split_words`, `sentiment.data.load_reviews`.
"""
