"""What is searched for, in each database's terms: words, all of them wanted, and nothing that is an operator."""

from __future__ import annotations

import unicodedata

_ENGLISH = """
    i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself it
    its itself they them their theirs themselves what which who whom this that these those am is are was were be been
    being have has had having do does did doing a an the and but if or because as until while of at by for with about
    against between into through during before after above below to from up down in out on off over under again further
    then once here there when where why how all any both each few more most other some such no nor not only own same so
    than too very s t can will just don should now
"""
STOP_WORDS = frozenset(_ENGLISH.split())
"""What PostgreSQL's 'english' leaves out: FTS5 knows no such words, and would ask for them."""


def plain_words(text: str) -> str:
    """Return a text for plainto_tsquery: without what is in no word.

    In some locales PostgreSQL takes every character beyond ASCII for a letter. ASCII stays as it is, since PostgreSQL
    reads `parser.py` as one word, in what is searched and in what is searched for.
    """
    return "".join(character if character.isascii() or _in_word(character) else " " for character in text)


def match_expression(text: str) -> str:
    """Return the FTS5 expression that asks for every word of a text; '' where none counts."""
    words = "".join(character if _in_word(character) else " " for character in text).split()
    return " ".join(f'"{word}"' for word in words if word.lower() not in STOP_WORDS)


def _in_word(character: str) -> bool:
    """Whether FTS5's unicode61 takes a character for a part of a word: letters, digits and their marks."""
    return character.isalnum() or unicodedata.category(character) in ("Co", "Mn", "Mc", "Me")
