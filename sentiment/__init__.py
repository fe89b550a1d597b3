"""Sentiment analysis: recurrent networks read reviews of any length and say what they think.

from sentiment import load_model
load_model("imdb").predict("Not bad at all!")

`fit` trains a model on labelled texts of your own, and `model.save` keeps it.
"""

from sentiment.app import load_model as load_model
from sentiment.training.fit import fit as fit
from shared import __version__ as __version__
