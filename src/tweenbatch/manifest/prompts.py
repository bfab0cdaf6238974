"""What of a prompt can't be sent, or would be refused after the frames are already public.

Every other text passes untouched: no normal form, no trimming, whatever the script. It refuses
to know where a prompt comes from.
"""

import re
from collections.abc import Sequence

# Tab and the line breaks stay; the rest of C0 is what a broken export leaves behind.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_IMAGE = re.compile(r"@image(\d+)", re.ASCII | re.IGNORECASE)


def problems(prompt: str, *, max_chars: int | None) -> list[str]:
    """Return what is wrong: what was found, what is allowed, what to do.

    Each completes a sentence that begins with the prompt's column. Characters are code points;
    None stands for a limit that nobody knows.
    """
    if not prompt:
        return ["is empty; say what should happen between the frames"]
    found = []
    if max_chars is not None and len(prompt) > max_chars:
        found.append(f"has {len(prompt)} characters; at most {max_chars} are allowed: shorten it")
    if control := _CONTROL.search(prompt):
        found.append(
            f"has the control character {_code(control)} as character {control.start() + 1};"
            " remove it"
        )
    if surrogate := _SURROGATE.search(prompt):
        found.append(
            f"has half a character ({_code(surrogate)}) as character {surrogate.start() + 1},"
            " which can't be sent; write the whole one"
        )
    return found


def are_plain(prompts: Sequence[str], *, max_chars: int) -> bool:
    """Tell at one look that nothing can be wrong with any of many prompts."""
    if not all(prompts) or max(map(len, prompts)) > max_chars:
        return False
    # What can be printed is neither a control character nor half a character.
    text = " ".join(prompts)
    return "@" not in text and text.isprintable()


def wrong_references(prompt: str, *, frames: int) -> list[str]:
    """Return what is wrong with ``@Image1`` and its like where a row has so many frames."""
    if "@" not in prompt:
        return []
    found = []
    for named in dict.fromkeys(match[0] for match in _IMAGE.finditer(prompt)):
        number = named.lower().removeprefix("@image").lstrip("0") or "0"
        if number == "2" and frames < 2:  # noqa: PLR2004 - the end frame's number
            found.append(f"says {named}, but the row has no end frame; name one, or reword it")
        elif number not in ("1", "2"):
            found.append(
                f"says {named}; there are @Image1, the start frame, and @Image2, the end frame"
            )
    return found


def _code(match: re.Match[str]) -> str:
    return f"U+{ord(match[0]):04X}"
