"""What the applications of the suite have in common; it knows none of them.

Importing `shared` is cheap: Keras and TensorFlow come in with the modules that need them.
"""


def __getattr__(name: str) -> str:
    # Looked up only when asked for: reading package metadata costs more than the rest of this module.
    if name == "__version__":
        from importlib import metadata

        try:
            return metadata.version("unrolled")
        except metadata.PackageNotFoundError:
            return "0+source"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
