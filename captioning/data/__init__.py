"""Pictures and their captions: sources, read into examples.

`examples` has the types and `load_examples`; `files` reads caption files and `listing` finds their pictures;
`records` reads tensorflow-datasets and rendered `shapes`; `images` decodes one picture; `report` says what a
source holds (`python -m captioning.data`).
"""

from captioning.data.examples import load_examples as load_examples
