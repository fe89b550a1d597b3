"""The one training loop and its parts.

Read `loop` first, then `step` (loss, gradient and update in one graph), `history` (which epoch is best),
`pace` (progress and learning rate), `saving` (when a checkpoint is written, and what must be the same when a
run resumes), `checkpoint`, `averaging` and `reporting`. Applications choose from `losses`, `optimizers` and
`precision`, and those that read long texts from `windows`, the batches of truncated backpropagation through
time.
"""
