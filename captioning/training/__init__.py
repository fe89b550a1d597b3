"""What `python -m captioning.train` puts together.

Read `run` first: it connects data, model, loss and validation to the training loop of `shared.training`.
`batches` gives the batches of an epoch, `sources` their images: the features of a frozen encoder, which
`features` computes once and caches, or pixels, of which `views` shows parts. `validation` scores captions
after each epoch. `checksums` says whether a run resumes on the same data. `memory` refuses an encoder that
cannot be trained here.
"""
