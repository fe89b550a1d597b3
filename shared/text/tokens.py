"""Three ways to split a text into tokens, the choice between them, and the way back to a text.

| tokenizer  | tokens                                                        | what is lost            |
|------------|---------------------------------------------------------------|-------------------------|
| words      | words in lower case                                           | capitals, punctuation   |
| exact      | words, punctuation; characters of scripts without blanks      | more than one blank     |
| characters | characters                                                    | more than one blank     |

A token that follows the one before it without a blank begins with `##`, as the word pieces of BERT do (Devlin
et al. 2019). So one rule joins the tokens of all three: `join_tokens`.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from shared.text.vocabulary import marks_pattern, tokenize_words

Tokenize = Callable[[str], list[str]]
GLUE = "##"
# Han, kana and bopomofo, Thai, Lao, Burmese and Khmer are written without blanks between words.
_UNSPACED = (
    "\u3005-\u3007\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff"
)
# From this share of captions with letters beyond ASCII on, a text is not read as English.
FOREIGN_SHARE = 0.05


@functools.cache
def _patterns() -> tuple[re.Pattern, re.Pattern]:
    """The pieces of a text without blanks: of `exact`, and of `characters`. A mark belongs to its letter."""
    marks = marks_pattern()
    one = rf"\S[{marks}\u200c\u200d]*"
    word = rf"(?:(?![{_UNSPACED}])[^\W_][{marks}]*)+"
    return re.compile(rf"{word}(?:['\u2019\-\u2010\u200c\u200d]{word})*|{one}"), re.compile(one)


def tokenize_exact(text: str) -> list[str]:
    """Words with their case and accents, punctuation marks, and the characters of scripts without blanks.

    Example:

    >>> tokenize_exact("Un niño, dos perros.")
    ['Un', 'niño', '##,', 'dos', 'perros', '##.']
    """
    return _pieces(text, _patterns()[0])


def tokenize_characters(text: str) -> list[str]:
    """Every character; combining marks stay with their letter.

    Example:

    >>> tokenize_characters("Un ni")
    ['U', '##n', 'n', '##i']
    """
    return _pieces(text, _patterns()[1])


def _pieces(text, pattern):
    words = (pattern.findall(word) for word in unicodedata.normalize("NFC", text).split())
    return [token for first, *others in words for token in (first, *(GLUE + other for other in others))]


TOKENIZERS: dict[str, Tokenize] = {
    "words": tokenize_words,
    "exact": tokenize_exact,
    "characters": tokenize_characters,
}


def choose_tokenizer(texts: Iterable[str]) -> str:
    """The tokenizer that suits texts: `words` for English, and `exact` where letters beyond ASCII are common.

    Example:

    >>> choose_tokenizer(["A dog.", "A cafe."]), choose_tokenizer(["一只狗"])
    ('words', 'exact')
    """
    foreign = [any(c.isalpha() and not c.isascii() for c in text) for text in texts]
    return "exact" if sum(foreign) > FOREIGN_SHARE * len(foreign) else "words"


def is_unspaced(text: str) -> bool:
    """Whether a text has letters of a script without blanks between words.

    Example:

    >>> is_unspaced("一只狗"), is_unspaced("Un niño")
    (True, False)
    """
    return re.search(f"[{_UNSPACED}]", text) is not None


def join_tokens(tokens: Sequence[str]) -> str:
    """The text of tokens, whichever tokenizer split it.

    Example:

    >>> join_tokens(tokenize_exact("一只狗 a dog."))
    '一只狗 a dog.'
    """
    return " ".join(tokens).replace(f" {GLUE}", "").removeprefix(GLUE)
