"""Models to choose from: listed, learned from fal, and each sent what it takes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server
from tweenbatch.models import ENDPOINTS, KLING_O1, find

A, B = "https://example.com/a.png", "https://example.com/b.png"
UNPRICED = ("o3", "kling3", "kling3-standard", "hailuo")


def write(folder: Path, **cells: str) -> None:
    row = {"prompt": "from one to the other", "start_image": "a.png", "end_image": "b.png"}
    manifests.write(folder / "manifest.csv", [{**row, **cells}])


@pytest.fixture
def project(tweenbatch: Command) -> Command:
    manifests.project(tweenbatch.folder, 0)
    models = {"TWEENBATCH_MODELS": str(tweenbatch.folder / "models")}
    return replace(tweenbatch, environment={**tweenbatch.environment, **models})


def test_the_list_names_every_model_with_its_fields_and_price(project: Command) -> None:
    said = project("models").stdout
    for each in ENDPOINTS.values():
        assert each.id in said
    assert "o1 (default)" in said
    found = json.loads(project("models", "--json").stdout)
    assert [each["id"] for each in found] == list(ENDPOINTS)
    shown = project("models", "show", "veo3.1").stdout
    assert "first_frame_url" in shown
    assert "https://fal.ai/models/fal-ai/veo3.1/first-last-frame-to-video" in shown


def test_a_model_that_nobody_knows_is_pointed_at_and_nothing_is_spent(
    project: Command, fal: Server
) -> None:
    write(project.folder)
    ran = project("run", "manifest.csv", "--yes", "--model", "o1-standart")
    assert ran.returncode == 2
    assert "no model 'o1-standart'; did you mean o1-standard" in ran.stderr
    assert fal.ledger()["posts"] == 0


def test_rows_of_several_models_are_each_sent_what_their_model_takes(
    project: Command, fal: Server
) -> None:
    rows = [
        {"model": "", "duration": "10", "generate_audio": "", "num_frames": ""},
        {"model": "kling2.5", "duration": "", "generate_audio": "", "num_frames": ""},
        {"model": "veo3.1", "duration": "4s", "generate_audio": "no", "num_frames": ""},
        {"model": "wan", "duration": "", "generate_audio": "", "num_frames": "90"},
    ]
    frames = {"prompt": "p", "start_image": "a.png", "end_image": "b.png"}
    manifests.write(project.folder / "manifest.csv", [{**frames, **row} for row in rows])
    ran = project("run", "manifest.csv", "--yes")
    assert ran.returncode == 0, ran.stderr
    accepted = fal.ledger()["accepted"]
    posts = {each["endpoint_id"]: each["input"] for each in accepted}
    assert set(posts) == {find(row["model"] or "o1").id for row in rows}
    assert posts[KLING_O1.id]["duration"] == "10"
    assert "tail_image_url" in posts[find("kling2.5").id]
    veo = posts[find("veo3.1").id]
    assert (veo["duration"], veo["generate_audio"]) == ("4s", False)
    assert {"first_frame_url", "last_frame_url"} < set(veo)
    assert posts[find("wan").id]["num_frames"] == 90
    assert sum(float(each["billed_usd"]) for each in accepted) == pytest.approx(
        1.12 + 0.35 + 0.8 + 0.5
    )
    assert "spent $2.77" in ran.stdout


def test_every_model_makes_a_clip_of_a_row_that_says_nothing_else(
    project: Command, fal: Server
) -> None:
    for name in UNPRICED:
        assert project("models", "update", name).returncode == 0
    for name in ("seedance", "pixverse"):
        assert project("models", "update", name, "--price-per-clip", "0.62").returncode == 0
    row = {"start_image": "a.png", "end_image": "b.png"}
    rows = [{**row, "prompt": name, "model": name} for name in ENDPOINTS]
    manifests.write(project.folder / "manifest.csv", rows)
    ran = project("run", "manifest.csv", "--yes")
    assert ran.returncode == 0, ran.stderr
    assert project.jobs() == {"succeeded": len(ENDPOINTS)}
    assert {each["endpoint_id"] for each in fal.ledger()["accepted"]} == set(ENDPOINTS)


def test_an_export_of_any_model_asks_for_the_same_clips_again(project: Command) -> None:
    write(project.folder, model="kling2.6", generate_audio="false")
    assert project("run", "manifest.csv", "--yes").returncode == 0
    exported = project("export", "--output", "again.csv")
    assert exported.returncode == 0, exported.stderr
    again = project("plan", "again.csv")
    assert "1  paid for another manifest" in again.stdout
    assert "A run would submit 0 clips" in again.stdout


def test_without_a_price_nothing_is_planned_until_fal_has_told_it(project: Command) -> None:
    write(project.folder)
    ran = project("plan", "manifest.csv", "--model", "kling3")
    assert ran.returncode == 2
    assert "tweenbatch models update fal-ai/kling-video/v3/pro/image-to-video" in ran.stderr
    learned = project("models", "update", "kling3")
    assert learned.returncode == 0, learned.stderr
    assert "$0.14 a second" in learned.stdout
    planned = project("plan", "manifest.csv", "--model", "kling3")
    assert "for $0.70" in planned.stdout


def test_a_model_is_learned_without_a_key(project: Command, fal: Server) -> None:
    learned = replace(project, key=None)("models", "update", "o1")
    assert learned.returncode == 0, learned.stderr
    assert "the price was not read: there is no key; the previous price stays in use" in (
        learned.stderr
    )
    assert fal.ledger()["requests"]["pricing"] == 0


def test_the_key_is_not_sent_where_fal_shows_schemas(project: Command, fal: Server) -> None:
    assert project("models", "update", "o1").returncode == 0
    (read,) = fal.wait_for("schema_read")
    assert read["keyed"] is False
    assert fal.ledger()["requests"]["pricing"] == 1


def test_an_endpoint_that_fal_does_not_have_is_reported_and_nothing_is_kept(
    project: Command,
) -> None:
    ran = project("models", "update", "fal-ai/no-such/model")
    assert ran.returncode == 2
    assert "fal has no endpoint 'fal-ai/no-such/model'" in ran.stderr
    assert not (project.folder / "models").exists()


def test_what_no_row_can_be_priced_by_is_reported(project: Command) -> None:
    learned = project("models", "update", "seedance")
    assert learned.returncode == 0
    assert "charges $0.26 for 1m tokens, a unit that tweenbatch can't count" in learned.stderr


def test_a_price_that_depends_on_an_input_is_not_lost_to_the_one_of_the_list(
    project: Command,
) -> None:
    learned = project("models", "update", "kling2.6")
    assert learned.returncode == 0
    assert "the price depends on generate_audio" in learned.stderr
    assert "$0.14 (generate_audio true), $0.07 (generate_audio false) a second" in learned.stdout


def test_one_price_of_the_list_is_not_taken_for_all_resolutions(project: Command) -> None:
    write(project.folder, model="pixverse")
    learned = project("models", "update", "pixverse")
    assert learned.returncode == 0
    assert "fal lists $0.3 per clip, but the price may depend on resolution" in learned.stderr
    assert project("plan", "manifest.csv").returncode == 2
    assert project("models", "update", "pixverse", "--price-per-clip", "1.65").returncode == 0
    assert "for $1.65" in project("plan", "manifest.csv").stdout
    assert "your own price stays in use" in project("models", "update", "pixverse").stderr
    assert "for $1.65" in project("plan", "manifest.csv").stdout
