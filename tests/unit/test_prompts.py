"""What is said about a prompt before anything is spent on it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch import manifest
from tweenbatch.errors import ManifestError
from tweenbatch.manifest import Reading
from tweenbatch.manifest.prompts import problems

ANY = st.text(st.characters(), min_size=1, max_size=20)


@given(ANY)
def test_a_prompt_is_let_through_exactly_where_it_can_be_sent_and_steers_nothing(
    prompt: str,
) -> None:
    sendable = not any("\ud800" <= char <= "\udfff" for char in prompt)
    plain = all(char >= " " or char in "\t\n\r" for char in prompt)
    assert (problems(prompt, max_chars=20) == []) == (sendable and plain)
    if sendable:
        assert json.loads(json.dumps(prompt, ensure_ascii=False).encode()) == prompt


@pytest.mark.parametrize("half", ["\ud83c", "\udf28\ud83c"])
def test_half_a_character_is_named_with_its_place(half: str) -> None:
    (problem,) = problems(f"ab{half}", max_chars=2500)
    assert f"an incomplete character (U+{ord(half[0]):04X}) as character 3" in problem


@pytest.mark.parametrize("char", ["x", "\U0001f328", "\u0301"])
def test_length_is_counted_in_code_points(char: str) -> None:
    assert problems(char * 7, max_chars=7) == []
    (problem,) = problems(char * 8, max_chars=7)
    assert problem == "has 8 characters; at most 7 are allowed: shorten it"


def test_all_that_is_wrong_is_reported_at_once() -> None:
    assert len(problems("\x00\ud83c", max_chars=1)) == 3


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a \x07 bell", "control character U+0007"),
        ("half \ud83d of one", "an incomplete character"),
        ("from @Image1 to @Image3", "uses @Image3"),
        ("x" * 2_501, "has 2501 characters"),
        ("", "is empty"),
    ],
)
def test_what_is_wrong_with_one_prompt_among_good_ones_is_reported(
    tmp_path: Path, prompt: str, said: str
) -> None:
    frames = {"start_image": "https://example.com/a.png", "end_image": "https://example.com/b.png"}
    rows = [{"prompt": text, **frames} for text in ("one line", prompt, "Überfahrt 🌊")]
    file = tmp_path / "m.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ManifestError) as caught:
        manifest.read(file, Reading())
    (problem,) = caught.value.problems
    assert (problem.row, problem.column) == (2, "prompt")
    assert said in problem.message
