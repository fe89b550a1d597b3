"""Tokens of any script and back; what suits which captions."""

import pytest

from shared.text.tokens import (
    GLUE,
    choose_tokenizer,
    is_unspaced,
    join_tokens,
    tokenize_characters,
    tokenize_exact,
)
from shared.text.vocabulary import tokenize_words


@pytest.mark.parametrize("tokenize", [tokenize_exact, tokenize_characters])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "Un niño, ¿dónde está? ¡Aquí!",
        "一只棕色的狗在草地上奔跑。",
        "犬が走っている、ね。",
        "หมาวิ่งบนชายหาด สวยมาก",
        "كلبٌ بنيٌّ يجري على الشاطئ.",
        "हिन्दी में कुत्ता।",
        "می\u200cرود",
        "A T-shirt, the dog's — 2 of 'em! 3.5 mm",
        "a ##b LED灯 #x _y_",
        "👩\u200d🚀 rocket",
    ],
)
def test_texts_come_back(text, tokenize):
    assert join_tokens(tokenize(text)) == text


def test_blanks_and_forms_of_letters_are_unified():
    assert join_tokens(tokenize_exact("  a\u3000b\n e\u0301 ")) == "a b \u00e9"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("L'été, vrai-ment", ["L'été", "##,", "vrai-ment"]),
        ("红LED灯", ["红", "##LED", "##灯"]),
        ("กี่", ["กี่"]),
        ("한국어 개", ["한국어", "개"]),
    ],
)
def test_exact_tokens(text, tokens):
    assert tokenize_exact(text) == tokens


def test_words_are_joined_as_ever():
    words = tokenize_words("A red dog's ball - 2!")
    assert not any(word.startswith(GLUE) for word in words)
    assert join_tokens(words) == " ".join(words)


@pytest.mark.parametrize(
    ("texts", "tokenizer"),
    [
        (["A dog runs.", "The cafe."] * 50, "words"),
        (["A dog runs."] * 99 + ["A café."], "words"),
        (["El perro corre.", "Un niño juega."], "exact"),
        (["狗"], "exact"),
        ([], "words"),
    ],
)
def test_the_captions_choose(texts, tokenizer):
    assert choose_tokenizer(texts) == tokenizer


def test_scripts_without_blanks():
    assert all(map(is_unspaced, ("犬", "カ", "หมา", "a 狗")))
    assert not any(map(is_unspaced, ("dog", "كلب", "개", "собака")))
