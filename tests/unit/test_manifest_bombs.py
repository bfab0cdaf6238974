"""No small manifest takes more than ten seconds or half a gigabyte, whatever it unfolds to."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import bombs, limits

GROUPS = {"texts": bombs.TEXTS, "tables": bombs.TABLES, "workbooks": bombs.BOOKS}
MAX_BYTES = 9_000_000


@pytest.mark.parametrize("group", GROUPS)
def test_a_bomb_is_refused_in_words_about_it_in_little_memory(tmp_path: Path, group: str) -> None:
    paths = []
    for name, make in GROUPS[group].items():
        data = make()
        assert len(data) < MAX_BYTES, name
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data.encode() if isinstance(data, str) else data)
    ran = subprocess.run(
        [sys.executable, limits.__file__, "files", *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    outcomes = {line["name"]: line["outcome"] for line in lines if "outcome" in line}
    expected = dict.fromkeys(GROUPS[group], "one line")
    expected |= {name: f"read: {rows}" for name, rows in bombs.HARMLESS.items() if name in expected}
    expected |= {name: words for name, words in bombs.STOPPED.items() if name in expected}
    ended = {line["name"]: line["status"] for line in lines if line.get("status")}
    assert ended == {}, "not within its seconds"
    assert outcomes == expected
    peaks = {line["name"]: line["peak"] for line in lines if "peak" in line}
    assert len(peaks) == len(paths)
    assert {name: peak for name, peak in peaks.items() if peak > limits.MEMORY} == {}
