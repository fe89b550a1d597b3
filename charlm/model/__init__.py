"""The character model and its SavedModel.

Read `char_lm` first; `scoring` measures texts with it; `signatures` makes a SavedModel of it, and `exported`
runs a SavedModel behind the same calls.
"""

from charlm.model.char_lm import CharLM as CharLM
