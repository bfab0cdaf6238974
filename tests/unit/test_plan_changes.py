"""A row is known again wherever it stands, and what of it changed is said."""

import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.jobtable import changed, row
from tweenbatch.planning import diff as changes
from tweenbatch.records import EarlierRow, Frame
from tweenbatch.records.manifest import Row
from tweenbatch.states import State

A, B, C = (Frame(source=f"/frames/{name}.png", sha256=name * 64) for name in "abc")


def between(number: int, **changes_: object) -> Row:
    facts: dict[str, object] = {
        "start": A,
        "end": B,
        "start_image": "a.png",
        "end_image": "b.png",
        "name": "",
    }
    return row(number, **facts | changes_)


def earlier(old: Row, **facts: object) -> EarlierRow:
    return replace(
        EarlierRow(
            number=old.number,
            name=old.name,
            take=old.take,
            key=old.key,
            state=State.SUCCEEDED,
            price_usd=old.kind.price_usd,
            start_image=old.start_image,
            end_image=old.end_image,
            spec=old.spec,
        ),
        **facts,  # type: ignore[arg-type]
    )


def match(before: list[Row], now: list[Row]) -> tuple[list[int | None], list[int]]:
    """The number that each row had before, and the numbers of those that went away."""
    found = changes.match([earlier(each) for each in before], now)
    return [was.number if was else None for was in found.was], [old.number for old in found.left]


def longer(old: Row) -> Row:
    return changed(old, parameters={"duration": "10"})


def worded(old: Row, prompt: str) -> Row:
    return changed(old, prompt=prompt)


@pytest.mark.parametrize(
    ("edited", "said"),
    [
        (between(2, prompt="another"), ["prompt changed"]),
        (between(2, start=C, start_image="c.png"), ["start frame changed (a.png → c.png)"]),
        (between(2, start=C), ["start frame's bytes changed (a.png)"]),
        (between(2, end=C), ["end frame's bytes changed (b.png)"]),
        (
            between(2, end=Frame(source="/videos/fitted/b-16x9.png", sha256="d" * 64)),
            ["end frame is fitted now (b.png)"],
        ),
        (between(2, end=None, end_image=""), ["end frame b.png was removed"]),
        (longer(between(2)), ["duration 5 → 10"]),
        (
            longer(between(2, prompt="another", end=C, end_image="c.png")),
            ["prompt changed", "end frame changed (b.png → c.png)", "duration 5 → 10"],
        ),
    ],
    ids=lambda value: "; ".join(value) if isinstance(value, list) else "",
)
def test_each_difference_has_its_reason(edited: Row, said: list[str]) -> None:
    assert list(changes.reasons(earlier(between(2)), edited)) == said


def test_another_endpoint_an_added_end_and_new_parameters_are_reasons_too() -> None:
    old = earlier(between(2, end=None, end_image=""))
    new = between(2)
    new = changed(new, endpoint="veo", parameters={"resolution": "720p"})
    assert list(changes.reasons(old, new)) == [
        "endpoint kling → veo",
        "end frame b.png is new",
        "duration 5 was removed",
        "resolution 720p is new",
    ]


def test_a_long_address_is_named_by_its_end() -> None:
    url = "https://example.com/" + "x" * 300 + "/end.png"
    new = between(2, start=Frame(source=url), start_image=url)
    (said,) = changes.reasons(earlier(between(2)), new)
    assert said.endswith("/end.png)")
    assert len(said) < 100


def test_the_same_frame_under_another_path_is_no_reason() -> None:
    moved = between(2, start=replace(A, source="/elsewhere/a.png"), start_image="elsewhere/a.png")
    assert list(changes.reasons(earlier(between(2)), moved)) == []


def test_an_edited_row_is_known_by_its_name_wherever_it_stands() -> None:
    before = [between(n, name=f"clip {n}", prompt=f"p {n}") for n in (2, 3, 4)]
    now = [before[2]._replace(number=2), before[0]._replace(number=3)]
    now.append(worded(before[1]._replace(number=4), "quite another"))
    assert match(before, now) == ([4, 2, 3], [])


def test_a_row_in_front_makes_none_of_the_others_look_edited() -> None:
    before = [row(n, name="") for n in (2, 3, 4)]
    now = [row(2, prompt="in front", start=C, start_image="c.png", name="")]
    now += [old._replace(number=old.number + 1) for old in before]
    assert match(before, now) == ([None, 2, 3, 4], [])


def test_of_rows_with_the_same_frames_the_most_similar_prompt_was_edited() -> None:
    before = [
        between(2, prompt="the snow melts and the flowers come out"),
        between(3, prompt="a ship crosses the bay under heavy clouds"),
    ]
    now = [
        between(2, prompt="a big ship crosses the bay under heavy clouds"),
        between(3, prompt="the snow melts and all the flowers come out"),
    ]
    assert match(before, now) == ([3, 2], [])


def test_a_row_with_another_name_frames_and_prompt_is_another_row() -> None:
    before = [between(2, name="old")]
    assert match(before, [row(2, name="new")]) == ([None], [2])


def test_a_row_without_name_is_known_by_its_place_at_last() -> None:
    before = [between(2, prompt="one thing")]
    assert match(before, [row(2, name="", prompt="quite another")]) == ([2], [])


def test_a_repeated_row_takes_no_other_rows_place() -> None:
    before = [between(n, name=f"clip {n}", prompt=f"prompt number {n}") for n in (2, 3)]
    again = before[0]._replace(number=3)
    assert match(before, [before[0], again]) == ([2, None], [3])


def test_a_take_is_matched_with_the_same_take() -> None:
    takes = [between(2, name="x", take=take) for take in (1, 2)]
    edited = [worded(take, "edited") for take in takes]
    found = changes.match([earlier(each) for each in reversed(takes)], edited)
    assert [was and was.take for was in found.was] == [1, 2]


ROWS = [
    row(n, name=f"clip {n}" if n % 2 else "", prompt=f"what happens in scene {n} of the film")
    for n in range(2, 14)
]


@settings(deadline=None, max_examples=200)
@given(
    order=st.permutations(range(len(ROWS))),
    inserted=st.lists(st.integers(0, len(ROWS)), max_size=4),
    removed=st.sets(st.integers(0, len(ROWS) - 1), max_size=4),
    lengthened=st.sets(st.integers(0, len(ROWS) - 1)),
    reworded=st.sets(st.integers(0, len(ROWS) - 1)),
)
def test_any_order_with_rows_put_in_taken_out_and_edited_is_seen_through(
    order: list[int],
    inserted: list[int],
    removed: set[int],
    lengthened: set[int],
    reworded: set[int],
) -> None:
    now: list[Row] = []
    expected: list[int | None] = []
    for index in order:
        if index in removed:
            continue
        edited = ROWS[index]
        edited = longer(edited) if index in lengthened else edited
        edited = worded(edited, f"{edited.spec.prompt}, slowly") if index in reworded else edited
        now.append(edited)
        expected.append(ROWS[index].number)
    for fresh, place in enumerate(inserted):
        # Named, so that it can't be meant for the row that stood in its place.
        now.insert(place, row(100 + fresh, name=f"fresh {fresh}", prompt=f"fresh {fresh}"))
        expected.insert(place, None)
    now = [each._replace(number=number) for number, each in enumerate(now, 2)]
    was, left = match(ROWS, now)
    assert was == expected
    assert sorted(left) == sorted(ROWS[index].number for index in removed)


def test_thousands_of_edited_rows_with_the_same_frames_are_not_compared_each_with_each() -> None:
    before = [earlier(between(n, prompt=f"prompt {n} of all")) for n in range(2, 4_002)]
    now = [between(n, prompt=f"prompt {n} of them") for n in range(2, 4_002)]
    calls: Counter[str] = Counter()
    sys.setprofile(lambda _frame, event, _function: calls.update((event,)))
    try:
        found = changes.match(before, now)
    finally:
        sys.setprofile(None)
    assert calls["call"] + calls["c_call"] < 1_000 * len(now)
    assert [was and was.number for was in found.was] == [each.number for each in now]
