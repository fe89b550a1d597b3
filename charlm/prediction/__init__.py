"""How a model writes: `writer` is a model in the middle of texts, `samples` what becomes of them."""
