"""Character-level language models: recurrent networks that write text one character at a time.

from charlm import load_model
model = load_model("shakespeare")
"""

from charlm.app import load_model as load_model
from shared import __version__ as __version__
