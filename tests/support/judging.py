"""The end of a table that had a hard life, and the judgement on it: by fal's ledger."""

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from support.command import Command, until
from support.fal import Server
from tweenbatch.clips import mp4
from tweenbatch.errors import BrokenVideo

PRICE_USD = Decimal("0.56")


@dataclass(slots=True, kw_only=True)
class Findings:
    """What is wrong, each with its reason; nothing, if all went well."""

    rows: int
    accepted: int
    duplicates: int
    lost: list[str] = field(default_factory=list)
    """Paid for, and the clip is not there."""
    broken: list[str] = field(default_factory=list)
    """Called done, and the file is not what it should be."""
    stuck: list[str] = field(default_factory=list)
    """Not at its end although nothing stands in the way."""
    other: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        twice = [f"{self.duplicates} paid twice"] if self.duplicates else []
        return [*twice, *self.lost, *self.broken, *self.stuck, *self.other]


def bring_to_an_end(command: Command, fal: Server) -> None:
    """Run without trouble until all work is done.

    What fal never had can't be proven absent within minutes: a person does it, who sees in fal's
    dashboard, which is here the ledger, what was accepted.
    """
    fal.script()
    run = ("run", "--yes", "--settle", "0")
    until(lambda: fal.totals()["in_flight_usd"] == "0.00")
    code = command(*run).returncode
    assert code in {0, 5}, f"exit {code} of a run without trouble"
    never_accepted = resolve_what_fal_never_had(command, fal)
    assert (code == 5) == bool(never_accepted), f"exit {code} with {never_accepted} to resolve"
    last = command(*run)
    assert last.returncode == 0, last.stdout + last.stderr


def resolve_what_fal_never_had(command: Command, fal: Server) -> list[str]:
    """Settle those uncertain jobs whose prompt was never accepted; return their ids."""
    accepted = set(fal.prompts())
    prompts = {row["name"]: row["prompt"] for row in exported(command)}
    jobs = [
        str(entry["job"])
        for entry in status(command)["attention"]
        if entry["state"] == "uncertain" and prompts[entry["name"]] not in accepted
    ]
    if jobs:
        resolved = command("resolve", *jobs, "--absent", "--yes")
        assert resolved.returncode == 0, resolved.stderr
    return jobs


def judge(command: Command, fal: Server, *, rows: int) -> Findings:
    """Hold the table, the folder and the ledger against each other, when all is done."""
    ledger = fal.ledger()
    found = Findings(
        rows=rows, accepted=ledger["accepted_count"], duplicates=ledger["duplicate_count"]
    )
    paid = {each["input"]["prompt"]: each for each in ledger["accepted"]}
    table = exported(command)
    if not len(table) == len(paid) == found.accepted == rows:
        found.other.append(f"{rows} rows, {len(table)} in the table, {found.accepted} accepted")
    for row in table:
        name, request = row["name"], paid.get(row["prompt"])
        if row["state"] != "succeeded":
            found.stuck.append(f"{name} is {row['state']}: {row['error_message']}")
        elif request is None or row["request_id"] != request["request_id"]:
            found.lost.append(f"{name}: request {row['request_id']} is not the one that was paid")
        else:
            judge_clip(row, request, command.folder / "videos", found)
    judge_folder(command.folder / "videos", table, found)
    _judge_money(status(command), ledger, found)
    return found


def judge_clip(
    row: Mapping[str, str], request: Mapping[str, Any], folder: Path, found: Findings
) -> None:
    path = Path(row["video_path"])
    if not path.is_file() or path.parent != folder:
        found.lost.append(f"{row['name']}: no clip at {path}")
        return
    try:
        mp4.check(path)
    except BrokenVideo as error:
        found.broken.append(f"{path.name}: {error}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if not digest == row["sha256"] == request["video"]["sha256"]:
        found.broken.append(f"{path.name} is neither what the table says nor what fal made")


def judge_folder(folder: Path, table: list[dict[str, str]], found: Findings) -> None:
    there = {path.name for path in folder.iterdir()}
    known = {Path(row["video_path"]).name for row in table} | {"results.csv"}
    found.other += [f"left behind: {name}" for name in sorted(there - known)]


def _judge_money(status: Mapping[str, Any], ledger: Mapping[str, Any], found: Findings) -> None:
    billed = Decimal(ledger["billed_usd"])
    says = {
        name: Decimal(str(amount)) for name, amount in status["money"].items() if name != "currency"
    }
    if says != {"spent": billed, "reserved": Decimal(0), "uncertain": Decimal(0)}:
        found.other.append(f"fal billed {billed} and the table says {says}")
    if billed != found.rows * PRICE_USD:
        found.other.append(f"{billed} was billed for {found.rows} rows")
    if status["attention"]:
        found.other.append(f"a person is asked for {status['attention']}")


def exported(command: Command) -> list[dict[str, str]]:
    """Return the rows of ``export``."""
    export = command("export", "--raw")
    assert export.returncode == 0, export.stderr
    return list(csv.DictReader(io.StringIO(export.stdout)))


def status(command: Command) -> dict[str, Any]:
    return dict(json.loads(command("status", "--json").stdout))
