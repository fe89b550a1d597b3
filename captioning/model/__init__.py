"""The captioner, its parts, and its SavedModel.

Read `captioner` first, then `encoder` (with `backbones`, `efficientnet_lite` and `pth`) and `decoders`.
`search` writes captions with an encoder and a decoder, or with those of several captioners, an `ensemble`.
`captions` has what a captioner takes and returns: images of any kind, and `Caption`; `constraints` has the
words that captions must or may not have. `signatures` are the functions of its SavedModel, which reads files
by `encoded`, and `exported` runs one behind the same calls.
"""

from captioning.model.captioner import Captioner as Captioner
