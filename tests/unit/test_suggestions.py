"""The names suggested for a mistyped one."""

import pytest

from tweenbatch.suggestions import did_you_mean, similar

KNOWN = ("prompt", "model", "start_image", "end_image", "takes")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("promt", "prompt"),  # left out
        ("promppt", "prompt"),  # doubled
        *(
            (name[:at] + name[at + 1] + name[at] + name[at + 2 :], name)
            for name in KNOWN
            for at in range(len(name) - 1)
            if name[at] != name[at + 1]
        ),
    ],
)
def test_a_slip_of_the_fingers_suggests_the_name(written: str, meant: str) -> None:
    assert similar(written, KNOWN, most=1, likeness=0.87) == [meant]


def test_an_unrelated_name_suggests_nothing() -> None:
    assert similar("camera", KNOWN) == []
    assert did_you_mean([]) == ""


def test_several_suggestions_are_joined_the_most_similar_first() -> None:
    found = similar("end_images", KNOWN)
    assert found[0] == "end_image"
    assert did_you_mean(["a", "b"]) == "; did you mean a or b?"
    assert len(similar("end_image", KNOWN, likeness=0.1, most=2)) == 2
