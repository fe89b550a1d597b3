"""Text from files, folders, standard input, packages and tensorflow-datasets, and its parts.

`load` has `load_text` and the table of sources: read it first. It turns a source into `documents`, stretches
of UTF-8 that are read in blocks, by way of `files`, `tfds` and `shakespeare`, and cuts them into the parts of
a `TextData` (`text_data`); `memory` takes a text that is in memory.
`ids` encodes a part, in a file if it is large. `report` says what a source holds (`python -m charlm.data`).
"""

from charlm.config import SOURCES as SOURCES
from charlm.data.load import load_text as load_text
