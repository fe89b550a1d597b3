"""Images and their captions: sources are read into lists of examples.

`examples` has the types (`Example`, `CaptionData`): read it first, then `load`, with `load_examples`,
`load_sources` and the table of sources. `flickr8k`, `json_files` and `tables` read caption files into a
`listing`, which locates the images; `memory` takes images and captions that are in memory.
`tfds` reads tensorflow-datasets and the rendered `shapes`. `images` decodes an image, `similar` finds copies
of one. `report` says what sources hold (`python -m captioning.data`).
"""

from captioning.config import SOURCES as SOURCES
from captioning.data.load import load_examples as load_examples
