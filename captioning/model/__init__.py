"""The captioner, its parts, and its SavedModel.

Read `captioner` first, then `encoder` (with `backbones`, `efficientnet_lite` and `pth`) and `decoders`;
`signatures` makes a SavedModel of it, and `exported` runs one behind the same calls.
"""

from captioning.model.captioner import Captioner as Captioner
