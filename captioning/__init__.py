"""Image captioning: a CNN encoder and a recurrent decoder describe photographs.

The public names live in their modules, so that parsing a command line imports neither Keras nor TensorFlow:
`captioning.model.Captioner`, `captioning.data.images.load_image`, `captioning.data.load_examples`.
"""
