"""What our programs write."""

# TensorFlow 2.20 writes these once, whatever its log level.
OF_TENSORFLOW = ("Compiled cluster using XLA!", "before absl::InitializeLog() is called")


def own_lines(text: str) -> str:
    """A text without the lines of TensorFlow."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not any(words in line for words in OF_TENSORFLOW))
