"""What a character model does for a user, whether it is a Keras model or an exported one."""

from collections.abc import Sequence

from charlm.model.generate import generate
from charlm.model.scoring import Score, Scorer
from shared.system.cli import UserError


class Answers:
    """Writes and measures text with the model that inherits it."""

    def generate(self, prompt: str | Sequence[str] = "", num_chars: int = 300, **options) -> str | list[str]:
        """The text that the model writes after a prompt.

        Args:
            prompt: a text, or several, which are continued in parallel.
            num_chars: characters to write after each.
            **options: `temperature`, `top_k`, `top_p` and `seed` of `charlm.model.generate.generate`.

        Returns:
            The characters that follow the prompt; for several prompts, a list.

        Raises:
            ValueError: an option is out of range.
            UserError: a prompt holds half of a surrogate pair.
        """
        return generate(self, prompt, num_chars, **options)

    def score(self, text: str) -> Score:
        """How well the model predicts a text, of which the first character is given.

        Args:
            text: at least two characters; the state is carried from the first to the last.

        Returns:
            A `charlm.model.scoring.Score`, with `nats_per_character`, `bits_per_character` and `perplexity`.

        Raises:
            UserError: the text is too short, or holds half of a surrogate pair.
        """
        if len(text) < 2:
            raise UserError("A text must have at least two characters: the first one is not predicted.")
        return Scorer(self).carried(self.vocabulary.encode(text))
