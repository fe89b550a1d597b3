"""What a model answers to texts, whether it is a Keras model or an exported one."""


def labels_of(model, texts: str | list[str], force: bool = False) -> str | list[str | None] | None:
    """The most probable label of each text; for a single text that is not in a list, its label.

    Args:
        model: has `labels` and `probabilities`.
        texts: a text or several.
        force: whether texts get a label of which the model does not know enough words; otherwise None.
    """
    if isinstance(texts, str):
        return labels_of(model, [texts], force)[0]
    labels = [model.labels[index] for index in model.probabilities(texts).argmax(axis=-1)]
    if force:
        return labels
    return [None if reason else label for reason, label in zip(model.reasons(texts), labels, strict=True)]
