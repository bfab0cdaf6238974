"""Which jobs a person means, in the same words for every verb."""

import json

import pytest

from support import manifests
from support.command import Command
from support.fal import Server


@pytest.fixture(autouse=True)
def six_that_failed(tweenbatch: Command, fal: Server) -> None:
    """Two manifests: of each, two rows that failed in two ways, and one clip."""
    rows = manifests.rows(3)
    for row, tags in zip(rows, ("red,Grün", "blue", "red"), strict=True):
        row["tags"] = tags
    manifests.project(tweenbatch.folder, 3)
    manifests.write(tweenbatch.folder / "manifest.csv", rows)
    (tweenbatch.folder / "more").mkdir()
    others = [
        {**row, "prompt": f"more of {row['prompt']}", "name": f"more_{row['name']}"} for row in rows
    ]
    for row in others:
        row |= {"start_image": "../a.png", "end_image": "../b.png"}
    manifests.write(tweenbatch.folder / "more" / "other.csv", others)
    fal.script(
        *(
            {
                "on": "generation",
                "do": "fail",
                "status": 422,
                "type": kind,
                "prompt_contains": f"number {n}",
            }
            for n, kind in ((1, "content_policy_violation"), (2, "image_load_error"))
        )
    )
    ran = tweenbatch("run", "manifest.csv", "more/other.csv", "--yes")
    assert ran.returncode == 1
    assert tweenbatch.jobs() == {"failed": 4, "succeeded": 2}
    fal.script()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), {"clip-1", "clip-2", "more_clip-1", "more_clip-2"}),
        (("--error", "image_load_error"), {"clip-2", "more_clip-2"}),
        (("--manifest", "more/other.csv"), {"more_clip-1", "more_clip-2"}),
        (("--manifest", "more/../manifest.csv", "--row", "3"), {"clip-2"}),
        (("--tag", "red"), {"clip-1", "more_clip-1"}),
        (("--tag", "Grün", "--name", "MORE*"), {"more_clip-1"}),
        (("--name", "clip-?"), {"clip-1", "clip-2"}),
        (("--name", "more_clip*"), {"more_clip-1", "more_clip-2"}),
        (
            ("--manifest", "manifest.csv", "--manifest", "more/other.csv", "--row", "2"),
            {"clip-1", "more_clip-1"},
        ),
    ],
)
def test_a_job_is_meant_where_every_option_speaks_of_it(
    tweenbatch: Command, fal: Server, options: tuple[str, ...], names: set[str]
) -> None:
    before = len(fal.prompts())
    queued = tweenbatch("retry", *options, "--yes", "--json")
    assert json.loads(queued.stdout) == {"requeued": len(names)}
    assert tweenbatch("run", "--yes").returncode in {0, 1}
    again = {
        ("more_" if prompt.startswith("more") else "") + f"clip-{prompt.partition('number ')[2][0]}"
        for prompt in fal.prompts()[before:]
    }
    assert again == names


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--error", "nothing_like_it"), "no failed job matches these filters"),
        (("--name", "clip_1"), "no failed job matches these filters"),
        (("--name", "%"), "no failed job matches these filters"),
        (("--tag", "r_d"), "no failed job matches these filters"),
        (("--tag", "re"), "no failed job matches these filters"),
        (("--tag", 'red", "Gr'), "no failed job matches these filters"),
        (("--row", "4"), "no failed job matches these filters"),
        (("999",), "job 999: not failed"),
        (
            ("1", "--error", "image_load_error"),
            "job 1: not failed or not matched by the other filters",
        ),
    ],
)
def test_what_means_no_job_changes_nothing_and_says_so(
    tweenbatch: Command, options: tuple[str, ...], said: str
) -> None:
    asked = tweenbatch("retry", *options, "--yes")
    assert asked.returncode == 2
    assert said in asked.stderr
    assert tweenbatch.jobs() == {"failed": 4, "succeeded": 2}


def test_only_what_is_meant_is_shown_with_its_price_before_it_is_queued(
    tweenbatch: Command,
) -> None:
    asked = tweenbatch("retry", "--error", "image_load_error")
    assert asked.returncode == 2
    assert "2 clips will be charged again, $1.12" in asked.stderr
    assert "clip-2" in asked.stderr
    assert "clip-1" not in asked.stderr


@pytest.mark.parametrize("verb", ["retry", "cancel", "retake", "resolve"])
def test_a_clip_named_where_a_number_belongs_is_refused_with_both_ways(
    tweenbatch: Command, verb: str
) -> None:
    refused = tweenbatch(verb, "clip-1")
    assert refused.returncode == 2
    assert "'clip-1' is not understood" in refused.stderr
    assert "--name NAME" in refused.stderr
