"""What a model answers to texts, whether it is a Keras model or an exported one."""


def labels_of(model, texts: str | list[str]) -> str | list[str]:
    """The most probable label of each text; for a single text that is not in a list, its label."""
    if isinstance(texts, str):
        return labels_of(model, [texts])[0]
    return [model.labels[index] for index in model.probabilities(texts).argmax(axis=-1)]
