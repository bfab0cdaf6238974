"""The same pictures at newly signed addresses: each clip is paid for once.

The judge is the service's own ledger.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from support import manifests
from support.command import Command
from support.fal import Server

BUCKET = "https://frames.example.com"
Signature = Callable[[int], str]

KINDS: dict[str, Signature] = {
    "S3": lambda day: (
        f"?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F{day}&X-Amz-Date={day}"
        f"&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature={day:064x}"
    ),
    "Azure": lambda day: f"?sv=2024-11-04&se={day}&sr=b&sp=r&sig=s%2F{day}",
    "CloudFront": lambda day: f"?Expires={day}&Signature=s{day}&Key-Pair-Id=K1",
    "Discord": lambda day: f"?ex=6a{day}&is=6b{day}&hm=6c{day}&",
    "anybody": lambda day: f"?token=t{day}&expires={day}",
    "signed on every other day": lambda day: "" if day % 2 else f"?exp={day}&sig=s{day}",
}


def export(folder: Path, signature: str, *, breaks: str = "\n", rows: int = 3) -> None:
    """Write the manifest as a tool exports it every day."""
    manifests.write(
        folder / "manifest.csv",
        [
            {
                "name": f"shot-{n}",
                "prompt": f"Shot {n}:{breaks}the light moves.",
                "start_image": f"{BUCKET}/s{n}.png{signature}",
                "end_image": f"{BUCKET}/e{n}.png{signature}",
            }
            for n in range(rows)
        ],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_night_the_same_pictures_are_paid_for_once(
    tweenbatch: Command, fal: Server, kind: str
) -> None:
    (tweenbatch.folder / "night.toml").write_text('manifests = ["manifest.csv"]\nyes = true\n')
    for day in range(1, 4):
        export(tweenbatch.folder, KINDS[kind](day))
        assert "for $0.00" in tweenbatch("plan", "manifest.csv").stdout or day == 1
        assert tweenbatch("run", "night.toml").returncode == 0
        assert fal.totals()["posts"] == 3
    assert tweenbatch.jobs() == {"succeeded": 3}


def test_the_plan_says_that_only_signatures_differ(tweenbatch: Command, fal: Server) -> None:
    export(tweenbatch.folder, KINDS["S3"](1))
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    export(tweenbatch.folder, KINDS["S3"](2))
    said = tweenbatch("plan", "manifest.csv").stdout
    assert "3  already there" in said
    assert "3  known (only signatures" in said
    assert "changed" not in said
    assert fal.totals()["posts"] == 3


def test_another_real_parameter_is_another_clip(tweenbatch: Command, fal: Server) -> None:
    for day, real in enumerate(("&v=3", "&v=3", "&v=4"), start=1):
        export(tweenbatch.folder, f"{KINDS['S3'](day)}{real}", rows=1)
        assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    assert fal.totals()["posts"] == 2


def test_what_still_waits_is_sent_with_the_newest_signature(
    tweenbatch: Command, fal: Server
) -> None:
    export(tweenbatch.folder, KINDS["S3"](1))
    assert tweenbatch("run", "manifest.csv", "--yes", "--limit", "1").returncode == 3
    export(tweenbatch.folder, KINDS["S3"](2))
    assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    sent = [each["input"]["start_image_url"] for each in fal.ledger()["accepted"]]
    assert sorted(sent) == sorted(
        f"{BUCKET}/s{n}.png{KINDS['S3'](1 if n == 0 else 2)}" for n in range(3)
    )


def test_line_ends_are_sent_as_written_and_make_no_other_clip(
    tweenbatch: Command, fal: Server
) -> None:
    for breaks in ("\r\n", "\n", "\r"):
        export(tweenbatch.folder, "", breaks=breaks)
        assert tweenbatch("run", "manifest.csv", "--yes").returncode == 0
    assert fal.totals()["posts"] == 3
    assert set(fal.prompts()) == {f"Shot {n}:\r\nthe light moves." for n in range(3)}
