"""The character model and its SavedModel.

Read `char_lm` first; `generate` writes texts with it and `scoring` measures them, which a model does by the
methods in `answers`; `signatures` makes a SavedModel of it, and `exported`
runs a SavedModel behind the same calls.
"""

from charlm.model.char_lm import CharLM as CharLM
