"""Text from outside, made safe to print: no character that could steer a terminal."""


def printable_line(text: str) -> str:
    """Return the text in one line, with a space for each character that can't be printed."""
    return "".join(c if c.isprintable() else " " for c in text)


def printable_lines(text: str) -> str:
    """Return the text with its line breaks, and a space for whatever else can't be printed."""
    return "\n".join(map(printable_line, text.split("\n")))
