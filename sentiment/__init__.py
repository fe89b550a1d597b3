"""Sentiment analysis: recurrent networks read reviews of any length and say what they think.

from sentiment import load_model
load_model("imdb").probabilities("Not bad at all!")
"""

from sentiment.app import load_model as load_model
from shared import __version__ as __version__
