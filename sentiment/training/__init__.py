"""What `python -m sentiment.train` puts together.

Read `run` first; then `batches`, `optimizer`, `calibration`, and the two ways to learn from unlabelled texts,
`pretraining` and `teaching`.
"""
