"""Protect CSV cells from being read as formulas: guard them when writing, undo it when reading.

Source: OWASP, CSV Injection (with line feed and full-width forms); ASVS 5.0, 1.2.10 (with NUL).
"""

import re

# Excel and LibreOffice may skip leading spaces and a byte order mark. A ' before such a beginning
# is guarded too: otherwise reading would remove it as our own.
_BEGINS_AS_FORMULA = re.compile(r"'*[\s\ufeff\u200b]*[=+\-@\t\r\n\0＝＋－＠]")

# Where a program may split a cell: Excel at semicolons in locales with a decimal comma, LibreOffice
# at semicolons and tabs too. They may then ignore our quotes, so that a line break within a cell
# begins a row. A comma never splits, because a cell with a comma is quoted.
_BREAKS = re.compile(r"[;\t\r\n]")
_FORMULA = r"""'*(?:[^\S\t\r\n]|[\ufeff\u200b"])*[=+\-@\0＝＋－＠]"""
_FORMULA_INSIDE = re.compile(rf"(?<=[;\t\r\n])(?={_FORMULA})")
_GUARD_INSIDE = re.compile(rf"(?<=[;\t\r\n])'(?={_FORMULA})")


def guarded(text: str) -> str:
    """Return the text with a ' before each part that a spreadsheet may read as a formula.

    A text with a guard inside also gets one in front, so that ``bare`` recognises it.
    """
    return f"'{_FORMULA_INSIDE.sub(chr(39), text)}" if _is_dangerous(text) else text


def all_guarded(texts: list[str]) -> list[str]:
    """Return the texts of a column, each guarded."""
    # Nearly all texts begin with a letter or a digit, and no formula does.
    begin_well = "".join([text[:1] for text in texts]).isalnum()
    if begin_well and not _BREAKS.search("".join(texts)):
        return texts
    return [guarded(text) for text in texts]


def bare(text: str) -> str:
    """Return the original text of a guarded one; the inverse of ``guarded``."""
    if not text.startswith("'") or not _is_dangerous(text[1:]):
        return text
    return _GUARD_INSIDE.sub("", text[1:])


def _is_dangerous(text: str) -> bool:
    return bool(_BEGINS_AS_FORMULA.match(text) or _FORMULA_INSIDE.search(text))
