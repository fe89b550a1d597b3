"""Image captioning: a CNN encoder and a recurrent decoder describe photographs.

from captioning import load_model
load_model("photos").caption("dog.jpg")
"""

from captioning.app import load_model as load_model
from shared import __version__ as __version__
