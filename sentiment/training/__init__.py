"""What `python -m sentiment.train` puts together.

Read `run` first. `preparation` makes words, labels and vocabulary; `batches`, `loss`, `optimizer` and
`validation`, with `calibration` for the temperature, go into the training loop. Two ways to learn from
unlabelled texts are in `pretraining` and `teaching`; `pieces`, with `rules`, makes short texts of reviews.
"""
