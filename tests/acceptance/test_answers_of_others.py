"""An answer that is not fal's own refusal buys nothing twice: it leaves the outcome open."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.virtual import virtually
from support.world import world
from tweenbatch.exit_codes import ExitCode

ROWS = 6
AT_ONCE = 2
PAGE = "<html><body>Blocked by policy</body></html>"

ANSWERS: list[dict[str, Any]] = [
    *({"status": status} for status in (301, 302, 303, 307, 308)),
    *({"status": status, "body": PAGE} for status in (401, 402, 403, 404, 407, 413, 451)),
    {"status": 403, "body": {"error": "Forbidden"}},
]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_a_submission_that_others_answered_stops_the_run_and_is_collected_by_the_next(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=ROWS) as played:
            played.script({"on": "submit", "do": "reply", "at": "reply", **answer})
            result = await played.run(concurrency=AT_ONCE)
            assert result.exit_code is ExitCode.TROUBLE
            assert f"HTTP {answer['status']}" in result.note
            assert played.ledger()["accepted_count"] <= AT_ONCE
            played.script()
            again = await played.run()
            assert again.exit_code is ExitCode.SUCCEEDED
            ledger = played.ledger()
            assert (ledger["accepted_count"], ledger["duplicate_count"]) == (ROWS, 0)
            assert played.states() == {"succeeded": ROWS}

    virtually(body)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_fals_own_refusal_costs_no_attempt_and_nothing_is_looked_up(
    tmp_path: Path, status: int
) -> None:
    async def body() -> None:
        async with world(tmp_path, rows=ROWS) as played:
            no = {"detail": "User is locked.", "error_type": "authorization_error"}
            played.script({"on": "submit", "do": "reply", "status": status, "body": no})
            result = await played.run(concurrency=AT_ONCE)
            assert result.exit_code is ExitCode.TROUBLE
            assert "User is locked." in result.note
            assert played.states() == {"pending": ROWS}
            assert played.failures() == Counter({0: ROWS})

    virtually(body)
