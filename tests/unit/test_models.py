"""Endpoints as data: keys that never change, what is sent, what is charged, what is refused."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import manifests
from tweenbatch import manifest
from tweenbatch.errors import ManifestError, UsageError
from tweenbatch.manifest import Reading
from tweenbatch.models import (
    AS_KNOWN,
    DEFAULT,
    ENDPOINTS,
    KLING_O1,
    Endpoint,
    Price,
    Prices,
    Unit,
    find,
    listed_price,
)
from tweenbatch.models.data import data_of, endpoint_of
from tweenbatch.records.manifest import Row

START, END = "https://example.com/a.png", "https://example.com/b.png"
ROW = {"prompt": "@Image1 becomes @Image2", "start_image": START, "end_image": END}

ReadRow = Callable[..., Row]


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWEENBATCH_MODELS", str(tmp_path / "models"))


@pytest.fixture
def read(tmp_path: Path) -> ReadRow:
    """Return the one row of a manifest with these cells."""

    def row(model: str = "o1", **cells: str) -> Row:
        path = manifests.write(tmp_path / "manifest.csv", [{**ROW, **cells}])
        [only] = manifest.read(path, Reading(endpoint=find(model))).rows
        return only

    return row


def sent(row: Row) -> dict[str, object]:
    return find(row.spec.endpoint).arguments(
        prompt="p", start_url="s", end_url="e", parameters=row.spec.parameters
    )


def problems(read: ReadRow, model: str = "o1", **cells: str) -> str:
    with pytest.raises(ManifestError) as refused:
        read(model, **cells)
    return str(refused.value)


def test_the_key_of_a_row_of_o1_is_what_it_always_was(read: ReadRow) -> None:
    """Another key would buy every clip of every table once more."""
    golden = "0f7d9fa0f34e4226057a427ccdc0672d76b1cad665342458d37dddd2bfc9120c"
    assert read().spec.key == golden
    assert read(duration="5", model_is_named_in_a_column_nobody_knows="x").spec.key == golden


def test_naming_the_model_in_a_column_changes_no_key(read: ReadRow, tmp_path: Path) -> None:
    rows = [{**ROW, "model": name} for name in ("", "o1", KLING_O1.id)]
    made = manifest.read(manifests.write(tmp_path / "m.csv", rows), Reading()).rows
    assert {row.spec.key for row in made} == {read().spec.key}


def test_o1_is_the_default_with_the_durations_of_its_page() -> None:
    assert DEFAULT is KLING_O1
    assert KLING_O1.parameters["duration"].allowed == ("5", "10")
    assert KLING_O1.parameters["duration"].default == "5"


@pytest.mark.parametrize(
    ("model", "cells", "body", "usd"),
    [
        ("o1", {}, {"start_image_url": "s", "end_image_url": "e", "duration": "5"}, "0.56"),
        (
            "o1-standard",
            {"duration": "10"},
            {"start_image_url": "s", "end_image_url": "e", "duration": "10"},
            "0.84",
        ),
        (
            "o3-standard",
            {"duration": "15"},
            {"image_url": "s", "end_image_url": "e", "duration": "15"},
            "1.68",
        ),
        (
            "o3-standard",
            {"duration": "15", "generate_audio": "no"},
            {"image_url": "s", "end_image_url": "e", "duration": "15", "generate_audio": False},
            "1.26",
        ),
        (
            "kling2.6",
            {},
            {
                "start_image_url": "s",
                "end_image_url": "e",
                "duration": "5",
                "generate_audio": True,
            },
            "0.70",
        ),
        (
            "kling2.6",
            {"generate_audio": "No", "duration": "10"},
            {
                "start_image_url": "s",
                "end_image_url": "e",
                "duration": "10",
                "generate_audio": False,
            },
            "0.70",
        ),
        ("kling2.5", {}, {"image_url": "s", "tail_image_url": "e", "duration": "5"}, "0.35"),
        (
            "veo3.1",
            {"duration": "6s", "generate_audio": "false"},
            {
                "first_frame_url": "s",
                "last_frame_url": "e",
                "duration": "6s",
                "generate_audio": False,
            },
            "1.20",
        ),
        (
            "wan",
            {"num_frames": "81"},
            {
                "start_image_url": "s",
                "end_image_url": "e",
                "num_frames": 81,
                "resolution": "720p",
            },
            "0.40",
        ),
        (
            "wan",
            {"resolution": "480p"},
            {"start_image_url": "s", "end_image_url": "e", "resolution": "480p"},
            "0.25",
        ),
        (
            "wan",
            {"resolution": "480p", "num_frames": "82"},
            {
                "start_image_url": "s",
                "end_image_url": "e",
                "resolution": "480p",
                "num_frames": 82,
            },
            "0.25",
        ),
        ("luma", {}, {"image_url": "s", "end_image_url": "e", "duration": "5s"}, "2.00"),
        (
            "luma",
            {"resolution": "540p"},
            {"image_url": "s", "end_image_url": "e", "duration": "5s", "resolution": "540p"},
            "0.50",
        ),
    ],
)
def test_a_row_becomes_the_input_and_the_price_of_its_model(
    read: ReadRow, model: str, cells: dict[str, str], body: dict[str, object], usd: str
) -> None:
    row = read(model, **cells)
    assert sent(row) == {"prompt": "p", **body}
    assert row.kind.price_usd == Decimal(usd)


def test_one_value_has_one_key_however_it_is_spelled(read: ReadRow) -> None:
    for model, cells in (
        ("kling2.6", [{"generate_audio": text} for text in ("", "TRUE", "yes", "1")]),
        ("wan", [{"num_frames": text} for text in ("81", "+81", "081")]),
    ):
        assert len({read(model, **each).spec.key for each in cells}) == 1


@pytest.mark.parametrize("model", ["o3", "kling3", "kling3-standard", "pixverse", "hailuo"])
def test_a_model_of_unknown_price_is_not_planned_and_says_how_it_could_be(
    read: ReadRow, model: str
) -> None:
    text = problems(read, model)
    assert f"models update {find(model).id}" in text
    with pytest.raises(UsageError, match="is unknown"):
        find(model).price_usd({"duration": "5"})


@pytest.mark.parametrize(
    ("model", "cells", "column", "words"),
    [
        ("o1", {"duration": "7"}, "duration", "is '7'; Kling O1 allows 5 or 10"),
        ("veo3.1", {"duration": "5"}, "duration", "is '5'; Veo 3.1 allows 4s or 6s or 8s"),
        ("kling2.6", {"generate_audio": "maybe"}, "generate_audio", "expected true or false"),
        ("wan", {"num_frames": "8.5"}, "num_frames", "expected a whole number"),
        ("wan", {"num_frames": "0"}, "num_frames", "allows 1 or more"),
        ("wan", {"end_image": ""}, "end_image", "Wan 2.1 FLF2V needs an end frame"),
        ("o1", {"seed": "7"}, "seed", "it has no seed; ask for another take"),
        ("o1", {"num_frames": "81"}, "num_frames", "only other models have it (Wan 2.1 FLF2V)"),
        ("luma", {"seed": "7"}, "seed", "Luma Ray 2 would ignore it"),
    ],
)
def test_a_cell_that_the_model_does_not_take_is_a_problem_of_its_column(
    read: ReadRow, model: str, cells: dict[str, str], column: str, words: str
) -> None:
    text = problems(read, model, **cells)
    assert f"column '{column}'" in text
    assert words in text


@pytest.mark.parametrize(
    ("model", "cells", "spelled"),
    [
        ("o1", {"duration": "5.0"}, {"duration": "5"}),
        ("wan", {"num_frames": "81.00"}, {"num_frames": "81"}),
    ],
)
def test_a_whole_number_may_have_the_zeros_that_programs_write_behind_it(
    read: ReadRow, model: str, cells: dict[str, str], spelled: dict[str, str]
) -> None:
    row = read(model, **cells, takes="1.0", priority="7.0")
    assert row.spec.parameters.items() >= spelled.items()
    assert (row.priority, row.spec.key) == (7, read(model, **spelled).spec.key)


def test_a_row_whose_model_has_no_price_is_a_problem_of_that_row(tmp_path: Path) -> None:
    rows = [{**ROW, "model": name} for name in ("o1", "kling3")]
    with pytest.raises(ManifestError) as refused:
        manifest.read(manifests.write(tmp_path / "m.csv", rows), Reading())
    [problem] = refused.value.problems
    assert (problem.row, problem.column) == (3, "model")


def test_each_row_is_held_against_its_own_model(tmp_path: Path) -> None:
    rows = [
        {**ROW, "model": "veo3.1", "duration": "8s", "num_frames": "", "seed": ""},
        {**ROW, "model": "wan", "duration": "", "num_frames": "81", "seed": ""},
        {**ROW, "model": "", "duration": "10", "num_frames": "", "seed": ""},
    ]
    path = manifests.write(tmp_path / "m.csv", rows)
    made = manifest.read(path, Reading()).rows
    assert [row.spec.endpoint for row in made] == [
        find("veo3.1").id,
        find("wan").id,
        KLING_O1.id,
    ]
    manifests.write(path, [{**row, "num_frames": "81", "seed": "1"} for row in rows])
    with pytest.raises(ManifestError) as refused:
        manifest.read(path, Reading())
    found = {(each.row, each.column) for each in refused.value.problems}
    assert found == {(2, "num_frames"), (2, "seed"), (3, "seed"), (4, "num_frames"), (4, "seed")}


def test_an_unknown_model_is_a_problem_with_similar_names(tmp_path: Path) -> None:
    rows = [{**ROW, "model": name} for name in ("veo-3.1", "o1")]
    path = manifests.write(tmp_path / "m.csv", rows)
    with pytest.raises(ManifestError) as refused:
        manifest.read(path, Reading())
    [problem] = refused.value.problems
    assert (problem.row, problem.column) == (2, "model")
    assert "veo3.1" in problem.message


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda each: each.id)
def test_an_endpoint_is_the_same_after_it_was_written_down(endpoint: Endpoint) -> None:
    assert endpoint_of(data_of(endpoint)) == endpoint


def test_no_two_models_share_a_name() -> None:
    names = [name for each in ENDPOINTS.values() for name in (each.id, *each.short)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("model", "unit", "usd", "costs"),
    [
        pytest.param("o1", Unit.SECOND, "1", "5", id="dearer by the second"),
        pytest.param("o1", Unit.SECOND, "0.113", "0.565", id="a little dearer"),
        pytest.param("o1", Unit.SECOND, "0.112", "0.56", id="as known"),
        pytest.param("o1", Unit.SECOND, "0.05", "0.56", id="cheaper"),
        pytest.param("o1", Unit.CLIP, "5", "5", id="dearer by the clip"),
        pytest.param("o1", Unit.CLIP, "0.55", "0.56", id="cheaper by the clip"),
        pytest.param("o1", Unit.SECOND, "0.1120000001", "0.560001", id="rounded up"),
        pytest.param("kling2.6", Unit.SECOND, "0.14", "0.56", id="no dearer than its dearest"),
        pytest.param("kling2.6", Unit.SECOND, "0.20", "1", id="dearer than its dearest"),
        pytest.param("wan", Unit.CLIP, "0.50", "0.56", id="no dearer than its longest"),
        pytest.param("wan", Unit.CLIP, "0.60", "0.60", id="dearer than its longest"),
    ],
)
def test_a_price_of_fals_list_counts_where_it_is_more_than_what_is_known(
    model: str, unit: Unit, usd: str, costs: str
) -> None:
    endpoint = find(model)
    now = Prices(listed={endpoint.id: Price(unit=unit, usd=Decimal(usd))})
    parameters = {"duration": "5", "generate_audio": "true"}
    known = Decimal("0.56")
    assert now.clip_usd(endpoint.id, parameters, known=known) == Decimal(costs)
    assert AS_KNOWN.clip_usd(endpoint.id, parameters, known=known) == known


@pytest.mark.parametrize(
    ("unit", "ours", "usd"),
    [
        *((unit, Unit.SECOND, "0.3") for unit in ("second", "seconds", "Seconds", " per second ")),
        *((unit, Unit.SECOND, "0.005") for unit in ("minute", "Minutes", "per minute")),
        *(
            (unit, Unit.CLIP, "0.3")
            for unit in ("video", "videos", "Clip", "generation", "request")
        ),
    ],
)
def test_what_fal_charges_for_is_read_in_its_words(unit: str, ours: Unit, usd: str) -> None:
    assert listed_price(unit, Decimal("0.3")) == Price(unit=ours, usd=Decimal(usd))


@pytest.mark.parametrize(
    "unit", ["", "s", "1m tokens", "compute seconds", "frame", "image", "megapixel", "5 seconds"]
)
def test_what_is_no_unit_of_ours_has_no_price(unit: str) -> None:
    assert listed_price(unit, Decimal("0.3")) is None


@given(st.decimals("0.000001", "999", places=6))
def test_a_price_by_the_minute_is_never_rounded_down(usd: Decimal) -> None:
    price = listed_price("minutes", usd)
    assert price is not None
    assert price.usd is not None
    assert price.usd * 60 >= usd


def priced(price: dict[str, object], **parameters: dict[str, object]) -> Endpoint:
    return endpoint_of({**data_of(KLING_O1), "price": price, "parameters": parameters})


def test_a_clip_costs_no_less_than_a_table_can_keep() -> None:
    made = priced(
        {"unit": "second", "usd": "0.01428571"}, duration={"allowed": ["5"], "default": "5"}
    )
    assert made.price_usd({"duration": "5"}) == Decimal("0.071429")


@pytest.mark.parametrize(
    ("price", "parameters"),
    [
        ({"unit": "second", "usd": "0.1"}, {}),
        ({"unit": "clip", "by": "size", "rates": {"s": "1"}}, {"duration": {"allowed": ["5"]}}),
    ],
)
def test_what_has_no_price_for_every_row_is_refused(
    price: dict[str, object], parameters: dict[str, dict[str, object]]
) -> None:
    with pytest.raises(ValueError, match=r"no input 'duration'|isn't one of its inputs"):
        priced(price, **parameters)


def test_a_duration_of_no_seconds_is_a_problem_of_its_row(tmp_path: Path) -> None:
    made = priced({"unit": "second", "usd": "0.1"}, duration={"kind": "whole", "default": "5"})
    rows = [{**ROW, "duration": text} for text in ("0", "-3", "99999", "7")]
    with pytest.raises(ManifestError) as refused:
        manifest.read(manifests.write(tmp_path / "m.csv", rows), Reading(endpoint=made))
    assert [(each.row, each.column) for each in refused.value.problems] == [
        (row, "duration") for row in (2, 3, 4)
    ]


def test_a_column_that_is_kept_beside_models_is_carried_and_not_judged(tmp_path: Path) -> None:
    path = manifests.write(tmp_path / "m.csv", [{**ROW, "model": "o1", "seed": "7"}])
    [made] = manifest.read(path, Reading(keep=("seed",))).rows
    assert made.extra == {"seed": "7"}
