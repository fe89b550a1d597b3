"""Text from wherever it is kept, and its parts for training, validation and test.

`splits` has `load_text` and the parts; `documents` reads UTF-8 in blocks, `shakespeare` finds the plays, and
`report` says what a source holds (`python -m charlm.data`).
"""

from charlm.data.splits import load_text as load_text
