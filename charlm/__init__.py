"""Character-level language modelling: a recurrent network reads a text and learns to write on.

The public names live in their modules, so that parsing a command line imports neither Keras nor TensorFlow:
`charlm.model.CharLM`, `charlm.text.characters.CharacterVocabulary`, `charlm.data.load_text`.
"""
