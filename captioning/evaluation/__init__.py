"""How good captions are.

`official` runs the official COCO caption code; `cider` is our own CIDEr-D, fast enough for validation after
each epoch. `calibration` compares confidence with CIDEr. `report` selects the images that
`python -m captioning.evaluate` scores and writes its files.
"""
