"""What is set outside the network: settings of a training run, options of a search, and more.

They come from the command line and are kept in the run folder or export. Neither Keras nor TensorFlow is
imported.
"""

from captioning.config.calibration import CALIBRATION_FILE as CALIBRATION_FILE
from captioning.config.calibration import Calibration as Calibration
from captioning.config.images import MAX_PIXELS as MAX_PIXELS
from captioning.config.images import add_max_pixels as add_max_pixels
from captioning.config.search import ABSTAIN_HELP as ABSTAIN_HELP
from captioning.config.search import FINAL_WORDS as FINAL_WORDS
from captioning.config.search import Constraints as Constraints
from captioning.config.search import Search as Search
from captioning.config.suited import FEW_IMAGES as FEW_IMAGES
from captioning.config.suited import suited as suited
from captioning.config.training import DECODER_NAMES as DECODER_NAMES
from captioning.config.training import FORMAT as FORMAT
from captioning.config.training import NETWORK as NETWORK
from captioning.config.training import SHAPE as SHAPE
from captioning.config.training import SOURCES as SOURCES
from captioning.config.training import CaptioningConfig as CaptioningConfig
from captioning.config.training import recipe as recipe
from captioning.config.training import self_critical_recipe as self_critical_recipe
