"""The one training loop and what it is made of.

Read `loop` first, then `step`, `checkpoint`, `averaging`, `pace` and `reporting`; what applications choose
from: `losses`, `optimizers`, `precision`, and `windows`, the batches of truncated back-propagation.
"""
