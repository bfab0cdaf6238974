"""Damaged manifests are read, or refused in words about the file; nothing else comes of them.

``TWEENBATCH_TEST_SEEDS=100000`` tries so many of each format, ``TWEENBATCH_TEST_SEED=7`` one alone.
A failure names its seed: ``damaged("xlsx", 7)`` is that file.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import damaged, limits

ONE_SEED = os.environ.get("TWEENBATCH_TEST_SEED")
FIRST = int(ONE_SEED or 0)
SEEDS = 1 if ONE_SEED else int(os.environ.get("TWEENBATCH_TEST_SEEDS", "1000"))


@pytest.mark.parametrize("suffix", damaged.WHOLE)
def test_what_is_to_be_damaged_is_whole(tmp_path: Path, suffix: str) -> None:
    for data in damaged.WHOLE[suffix]:
        path = tmp_path / f"m.{suffix}"
        path.write_bytes(data)
        assert limits.outcome(path) == f"read: {len(damaged.ROWS)}"


@pytest.mark.parametrize("suffix", damaged.WHOLE)
def test_a_damaged_file_is_read_or_refused_in_words_about_it(tmp_path: Path, suffix: str) -> None:
    ran = subprocess.run(
        [sys.executable, limits.__file__, "seeds", suffix, str(FIRST), str(SEEDS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, f"{lines[-1]['name'] if lines else ''} ended it: {ran.stderr}"
    outcomes = {line["name"]: line["outcome"] for line in lines if "outcome" in line}
    assert len(outcomes) == SEEDS
    bad = {
        name: said for name, said in outcomes.items() if not said.startswith(("one line", "read"))
    }
    assert bad == {}
    assert SEEDS < 100 or len({said.partition(":")[0] for said in outcomes.values()}) == 2
    assert ran.stderr == ""
