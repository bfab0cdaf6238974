"""Make text from outside safe to print: without characters that could control a terminal."""


def printable_line(text: str) -> str:
    """Return the text as one line, with a space for each unprintable character."""
    return "".join(c if c.isprintable() else " " for c in text)


def printable_lines(text: str) -> str:
    """Return the text with its line breaks, and a space for each other unprintable character."""
    return "\n".join(map(printable_line, text.split("\n")))
