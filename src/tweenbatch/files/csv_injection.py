"""Texts that no spreadsheet may take for formulas: guarded on the way out, bare on the way in.

Source: OWASP, CSV Injection (with line feed and full-width forms); ASVS 5.0, 1.2.10 (with NUL).
"""

import re

# Excel and LibreOffice may skip blanks and a byte order mark in front. A quote that stands
# before such a beginning is guarded as well: otherwise the way back would take it for ours.
_LIKE_A_FORMULA = re.compile(r"'*[\s\ufeff\u200b]*[=+\-@\t\r\n\0＝＋－＠]")


def guarded(text: str) -> str:
    """Return the text with a ' in front where it begins like a formula."""
    # No formula begins with a letter or a digit, as nearly all texts do.
    if text[:1].isalnum() or not _LIKE_A_FORMULA.match(text):
        return text
    return f"'{text}"


def all_guarded(texts: list[str]) -> list[str]:
    """Return the texts of a column, each guarded."""
    if "".join([text[:1] for text in texts]).isalnum():
        return texts
    return [guarded(text) for text in texts]


def bare(text: str) -> str:
    """Return the text that ``guarded`` was given."""
    return text[1:] if text.startswith("'") and _LIKE_A_FORMULA.match(text) else text
