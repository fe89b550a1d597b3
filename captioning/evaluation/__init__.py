"""Metrics: `official` runs the COCO caption code, `cider` is the CIDEr-D of our own that validation uses."""
