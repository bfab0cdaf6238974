"""Texts that no spreadsheet may take for formulas: guarded on the way out, bare on the way in.

Source: OWASP, CSV Injection (with line feed and full-width forms); ASVS 5.0, 1.2.10 (with NUL).
"""

import re

# Excel and LibreOffice may skip blanks and a byte order mark in front. A ' that stands before such
# a beginning is guarded as well: otherwise the way back would take it for ours.
_BEGINS_AS_FORMULA = re.compile(r"'*[\s\ufeff\u200b]*[=+\-@\t\r\n\0＝＋－＠]")

# Where a cell may be split: Excel splits at semicolons where a comma is the decimal sign, and
# LibreOffice at semicolons and tabs as well. Neither may see our quotes then, so that a line break
# within a cell begins a row. A comma never splits: a cell that holds one is quoted.
_BREAKS = re.compile(r"[;\t\r\n]")
_FORMULA = r"""'*(?:[^\S\t\r\n]|[\ufeff\u200b"])*[=+\-@\0＝＋－＠]"""
_FORMULA_INSIDE = re.compile(rf"(?<=[;\t\r\n])(?={_FORMULA})")
_GUARD_INSIDE = re.compile(rf"(?<=[;\t\r\n])'(?={_FORMULA})")


def guarded(text: str) -> str:
    """Return the text with a ' before whatever a spreadsheet may take for a formula.

    A text with a guard inside gets one in front as well, by which ``bare`` knows it.
    """
    return f"'{_FORMULA_INSIDE.sub(chr(39), text)}" if _is_dangerous(text) else text


def all_guarded(texts: list[str]) -> list[str]:
    """Return the texts of a column, each guarded."""
    # No formula begins with a letter or a digit, as nearly all texts do.
    begin_well = "".join([text[:1] for text in texts]).isalnum()
    if begin_well and not _BREAKS.search("".join(texts)):
        return texts
    return [guarded(text) for text in texts]


def bare(text: str) -> str:
    """Return the text that ``guarded`` was given."""
    if not text.startswith("'") or not _is_dangerous(text[1:]):
        return text
    return _GUARD_INSIDE.sub("", text[1:])


def _is_dangerous(text: str) -> bool:
    return bool(_BEGINS_AS_FORMULA.match(text) or _FORMULA_INSIDE.search(text))
