"""Check prompts for text that can't be sent or that fal would refuse.

fal refuses a prompt only after its frames are public, so it is checked before. A valid prompt is
never changed: not normalised, not trimmed.
"""

import re
from collections.abc import Sequence

# Tab and the line breaks stay; the rest of C0 is what a broken export leaves behind.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_IMAGE = re.compile(r"@image(\d+)", re.ASCII | re.IGNORECASE)


def problems(prompt: str, *, max_chars: int | None) -> list[str]:
    """Return the problems of a prompt: what it has, what is allowed, what to do.

    Each completes a sentence that begins with the prompt's column. Characters are code points;
    ``max_chars`` is None if the limit is unknown.
    """
    if not prompt:
        return ["is empty; describe what happens between the frames"]
    messages = []
    if max_chars is not None and len(prompt) > max_chars:
        messages.append(
            f"has {len(prompt)} characters; at most {max_chars} are allowed: shorten it"
        )
    if control := _CONTROL.search(prompt):
        messages.append(
            f"has the control character {_code(control)} as character {control.start() + 1};"
            " remove it"
        )
    if surrogate := _SURROGATE.search(prompt):
        messages.append(
            f"has an incomplete character ({_code(surrogate)}) as character"
            f" {surrogate.start() + 1}, which can't be sent; replace it"
        )
    return messages


def are_plain(prompts: Sequence[str], *, max_chars: int) -> bool:
    """Return quickly whether all prompts are free of problems; False means that some may not be."""
    if not all(prompts) or max(map(len, prompts)) > max_chars:
        return False
    # Control characters and incomplete characters aren't printable.
    text = " ".join(prompts)
    return "@" not in text and text.isprintable()


def wrong_references(prompt: str, *, frames: int) -> list[str]:
    """Return the problems of ``@Image1`` and similar references in a row of ``frames`` frames."""
    if "@" not in prompt:
        return []
    messages = []
    for named in dict.fromkeys(match[0] for match in _IMAGE.finditer(prompt)):
        number = named.lower().removeprefix("@image").lstrip("0") or "0"
        if number == "2" and frames < 2:  # noqa: PLR2004 - the end frame's number
            messages.append(
                f"uses {named}, but the row has no end frame; add one, or change the prompt"
            )
        elif number not in ("1", "2"):
            messages.append(
                f"uses {named}, but only @Image1 (the start frame) and @Image2 (the end frame) "
                "exist; change the prompt"
            )
    return messages


def _code(match: re.Match[str]) -> str:
    return f"U+{ord(match[0]):04X}"
