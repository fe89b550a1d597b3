"""Words of reviews: by a table made by hand, and by what has to hold for all of Unicode."""

import random
import re
import subprocess
import sys
import unicodedata

import pytest

from sentiment.text import words
from sentiment.text.words import APOSTROPHE, POINT, SLASH, fold_table, rules, split_words

CASES = {
    "": "",
    " \t\r\n\0\x85\u00a0\u3000\u2028\ufeff": "",
    "A plain Sentence.": "a plain sentence .",
    # HTML
    "One.<br /><br />Two<BR>three<br/>four<p>five</p>": "one . two three four five",
    '<a href="x?y=1">link</a> <i>so</i> <3 1 < 2 > 1': "link so < 3 1 < 2 > 1",
    "&quot;Q&quot; R&amp;D a&nbsp;b &lt;i&gt; don&#39;t isn&#x27;t won&#8217;t": (
        '" q " r & d a b < i > do n\u2019t is n\u2019t wo n\u2019t'
    ),
    # contractions, with a straight and with a curly apostrophe
    "I can't, it's, they've, we'll, he'd, I'm, you're": (
        "i ca n\u2019t , it \u2019s , they \u2019ve , we \u2019ll , he \u2019d , i \u2019m , you \u2019re"
    ),
    "DON\u2019T \u2018tis O\u2019Brien\u2019s 1980's 'quoted'": (
        "do n\u2019t ' tis o\u2019brien \u2019s 1980 \u2019s ' quoted '"
    ),
    # marks of punctuation
    "Wait... what?? No!!! Why?! well-made -- or\u2014not \u2013": (
        "wait \u2026 what \u2047 no \u203c why ? ! well - made \u2014 or \u2014 not -"
    ),
    "\u201cBest\u201d \u00abfilm\u00bb (so_so) $5 50% #1": '" best " " film " ( so _ so ) $ 5 50 % # 1',
    # ratings and numbers
    "7/10, 8.5 / 10. 3\u20445 ***1/2 1,000": "7\u204410 , 8\u20245\u204410 . 3\u20445 * * * 1\u20442 1 , 000",
    # smiles and pictures
    ":) :-) ;-)) =( :-(": "\u263a \u263a \u263a \u2639 \u2639",
    "good\U0001f600\U0001f600 \u2764\ufe0f7\ufe0f\u20e3": "good \U0001f600 \U0001f600 \u2764 7",
    "\U0001f44d\U0001f3fd": "\U0001f44d \U0001f3fd",  # a thumb and the tone of its skin
    "\U0001f468\u200d\U0001f469\u200d\U0001f467": "\U0001f468 \U0001f469 \U0001f467",  # a family
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7\U0001f1e9": (
        "\U0001f1e9\U0001f1ea \U0001f1eb\U0001f1f7 \U0001f1e9"
    ),
    # accents, part of their letter or after it
    "Caf\u00e9 cafe\u0301 na\u00efve \u1ec7 \u03ac \u0451 \u0439 \u0438\u0306": (
        "cafe cafe naive e \u03b1 \u0435 \u0438 \u0438"
    ),
    "\u0130STANBUL I\u0307 \u0131 STRA\u1e9eE \u00df \u00d8 \u0141": (
        "istanbul i \u0131 stra\u00dfe \u00df \u00f8 \u0142"
    ),
    "\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03bf\u03c2": "\u03bf\u03b4\u03bf\u03c3 \u03bf\u03b4\u03bf\u03c3",
    "\uff32\uff2f\uff23\uff2b\uff01 \U0001d401\U0001d428\U0001d425\U0001d41d": "rock ! bold",
    # scripts with spaces keep their vowels; those without fall into letters
    "\u0641\u0650\u064a\u0644\u0645 \u0631\u0627\u0626\u0639\u060c": (
        "\u0641\u0650\u064a\u0644\u0645 \u0631\u0627\u0626\u0639 \u060c"
    ),
    "\u0939\u093f\u0928\u094d\u0926\u0940\u0964": "\u0939\u093f\u0928\u094d\u0926\u0940 \u0964",
    "\uc601\ud654\uac00 \uc88b\ub2e4": "\uc601\ud654\uac00 \uc88b\ub2e4",
    "\u597d\u770b\uff01very\u4eba\u3005": "\u597d \u770b ! very \u4eba \u3005",
    "\u30cf\u3099\uff8a\uff9e\u3070": "\u30cf\u3099 \u30cf\u3099 \u3070",
    "\u0e14\u0e35\u0e21\u0e32\u0e01\u0e5512": "\u0e14\u0e35 \u0e21 \u0e32 \u0e01 \u0e5512",
    "\U00020000\U0002f800": "\U00020000 \u4e3d",
    # what no one can read, and what no one sees
    "a\ud800b\udfffc\ufffdd\0e": "a b c d e",
    "soft\u00adhy\u200dphen\u2060 zero\u200bwidth \u202eleft\u202c": "softhyphen zero width left",
    "x\ue000\U0010ffff y": "x\ue000\U0010ffff y",
    # letters beyond the first plane have lower case too
    "\U00010400\U00010401": "\U00010428\U00010429",
}


@pytest.mark.parametrize(("text", "expected"), CASES.items(), ids=ascii)
def test_words_of(text, expected):
    assert split_words(text) == expected.split()


def test_every_character_is_folded_as_its_canonical_twin():
    """Composed and decomposed letters of the scripts whose accents are left out are one."""
    compared = 0
    for code in range(0x110000):
        character = chr(code)
        parts = unicodedata.normalize("NFD", character)
        if parts != character and all("\u0300" <= part <= "\u036f" for part in parts[1:]):
            assert character.translate(fold_table()) == parts.translate(fold_table()), hex(code)
            compared += 1
    assert compared > 1800


def test_the_table_has_all_characters_that_change():
    """Those too that its making passes over."""
    table = fold_table()
    for code in range(0x110000):
        folded = words._fold(chr(code))
        assert table.get(code, code) == (ord(folded) if folded else None), hex(code)


def test_folding_twice_is_folding_once_and_leaves_no_capitals_and_no_white_space():
    table = fold_table()
    for code in {folded for folded in table.values() if folded is not None}:
        assert code not in table, hex(code)
    capitals = [chr(code) for code in range(0x110000) if chr(code).isupper() or chr(code).isspace()]
    assert len(capitals) > 1900
    unchanged = [character for character in capitals if ord(character) not in table]
    # Capitals of some scripts have no small letter.
    assert [character for character in unchanged if character.lower() != character] == []
    assert [character for character in unchanged if character.isspace()] == [" "]


def random_texts(count):
    rng = random.Random(1)
    alphabet = [
        *map(chr, range(256)),
        *"\u2019\u2024\u2044\u0301\u200d\ufe0f\u3042\u3099\u0e01\u0e34\U0001f1e9",
    ]
    for _ in range(count):
        rare = [chr(rng.randrange(0x110000)) for _ in range(3)]
        yield "".join(rng.choices([*alphabet, *rare], k=rng.randrange(40)))


def test_signs_are_words_of_their_own():
    inside = {APOSTROPHE, POINT, SLASH}
    signs = 0
    for text in random_texts(3000):
        for word in split_words(text):
            assert re.fullmatch(r"\S+", word)
            if len(word) > 1 and not re.fullmatch("[\U0001f1e6-\U0001f1ff]{2}", word):
                assert not [c for c in word if unicodedata.category(c)[0] in "PS" and c not in inside], text
            else:
                signs += 1
    assert signs > 1000


def test_nothing_is_lost_but_what_is_left_out():
    """The words without the rules' own signs are the folded text without what the rules read as one sign."""
    for text in random_texts(500):
        letters = [c for c in text.translate(fold_table()) if c.isalnum()]
        # No tag and no entity can be in the text without these.
        if not {"<", "&"} & set(text.translate(fold_table())):
            assert [c for word in split_words(text) for c in word if c.isalnum()] == letters


@pytest.mark.parametrize("piece", ["<", "<a ", "&", "0 / ", "a'", ":-", "\U0001f600"])
def test_long_texts_of_one_piece(piece):
    """Rules that try all that follows every start again would not come to an end."""
    assert split_words(piece * 200_000) == split_words(piece * 2) * 100_000


@pytest.mark.parametrize("piece", ["a", "0", "\U0001d7d9", "\u0627"])
def test_long_words(piece):
    assert split_words(piece * 200_000) == [split_words(piece)[0] * 200_000]


def test_rules_are_in_the_syntax_that_both_engines_have():
    for pattern, replacement in rules():
        assert not re.search(r"\(\?[^:]|\\[dswDSWZAuUx]", pattern), "no look-around, no Unicode classes"
        re.compile(pattern, re.ASCII).sub(replacement, "a")


def test_words_need_no_tensorflow():
    code = "import sys, sentiment.text.words; sys.exit(int(bool({'keras', 'tensorflow'} & set(sys.modules))))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
