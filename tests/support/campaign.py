"""A table in trouble of all kinds at once, and the judgement on it: by fal's ledger alone.

Faults of every call, ``kill -9`` at random and named points, clocks that are wrong by hours,
nights that pass, folders that are put back or copied, clips that are deleted, moved or cut,
limits of money. A seed draws what happens; the moments themselves are the machine's.

A run here lives ten times as fast as its fal: what is bounded by minutes passes in seconds.
"""

import dataclasses
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from support import manifests, trouble
from support.command import until
from support.fal import Emulated, Server
from support.forked import Forked, Zygote
from support.judging import Findings, exported, judge_clip, judge_folder, status
from support.killing import KILLED, MOST_EVENTS, Tally
from support.points import ANY_MOMENT, POINTS, TABLE, comes, locked, look
from tweenbatch.emulator.server import JOURNAL

ROWS = 12
"""Rows in each wave of work; every fourth is wanted twice."""
PRICE = Decimal("0.56")
PACE = 10.0
RUN_SECONDS = 4.0
"""A run that goes on is killed after so long."""
HOUR = 3600.0
SKEWS = (0.0, 0.0, 0.0, -12 * HOUR, -300.0, 300.0, 12 * HOUR)
"""Seconds by which the clock of a run may be wrong."""
NIGHTS = 8
"""So many nights a table is given to come to its end."""
LOOKS_AT_DASHBOARD = 4
"""After so many nights a person resolves what is still uncertain."""
EXITS = frozenset({KILLED, 0, 1, 3, 4, 5})
GIVEN_AWAY = re.compile(r"^(\S+): fal mixed up two results", re.MULTILINE)
KEY = re.compile(r"-[0-9a-f]{8}$")
"""What a clip has after its name where that was taken."""
IN_DOUBT = 2
OK = 200
AGAIN = ("internal_error", "runner_crashed", "file_download_error", "request_timeout")
"""Failures of the service, for which nothing is billed: a person has them tried again."""
TO_DO = "SELECT COUNT(*) FROM jobs WHERE state IN ('pending', 'submitting', 'submitted', 'ready')"


NAMED = [name for name in POINTS if name != "clip in place, not recorded"]
"""The other needs a download that goes well."""


class Kind(IntEnum):
    """What happens to the folder, and so what fal's list must still be good for."""

    STAYS = 0
    """Nothing; the list may hide requests for good, and no night passes."""
    PUT_BACK = 1
    """It is put back or copied, while what is kept outside of it stays; nights pass."""
    SNAPSHOT = 2
    """All is put back, what was kept outside too: only the list can tell, which works."""


class PaidTwice(AssertionError):
    """So many requests were accepted that nobody wanted; and which they were."""

    def __init__(self, count: int, which: str) -> None:
        self.count = count
        super().__init__(which)


class Campaign:
    """A project with its table, its fal with a ledger on disk; use it as a context manager."""

    def __init__(self, folder: Path, *, zygote: Zygote, seed: int) -> None:
        self._dice = random.Random(seed)
        self._kind = Kind(seed % len(Kind))
        self._folder, self._zygote = folder, zygote
        self._ahead = 0.0
        self._waves = 0
        self._doubted = False
        self._mixed_up: set[str] = set()
        """Clips that the program said to be another's."""
        self._damaged: set[str] = set()
        self._kept: list[Path] = []
        self._wanted: dict[str, int] = {}
        self._run: tuple[frozenset[str], Decimal | None] = (frozenset(), None)
        project = folder / "project"
        project.mkdir()
        kept = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
        self.command = Forked(folder=project, zygote=zygote, environment=kept)
        self.tally = Tally()
        self.done: Counter[str] = Counter()
        """How often a person, a night or an accident had to do with it."""
        self.log: list[str] = []

    def __enter__(self) -> Self:
        self._open_fal()
        self._write_wave()
        return self

    def __exit__(self, *_: object) -> None:
        self._emulated.__exit__()

    @property
    def fal(self) -> Server:
        return self._emulated.server

    @property
    def takes(self) -> int:
        """How many clips were asked for so far."""
        return sum(self._wanted.values())

    # What happens

    def play(self, kills: int) -> None:
        """Go on until so many runs were killed, with all that happens between them."""
        while self.tally.kills.total() < kills:
            assert self.tally.missed.total() <= 3 * kills + 20, f"hardly a run is hit: {self.tally}"
            self._dice.choices(
                [self._kill, self._die, self._damage, self._put_back, self._copy, self._keep],
                [60, 4, 4, 8, 5, 8],
            )[0]()
            if self._to_do() < 3:
                self._write_wave()

    def _to_do(self) -> int:
        table = self.command.folder / TABLE
        try:
            return int(look(table, TO_DO)[0][0])
        except Exception:  # noqa: BLE001 - no table yet, or one that the next run mends
            return 1

    def _write_wave(self) -> None:
        self._waves += 1
        number = self._waves
        frames = {"start_image": f"a-{number}.png", "end_image": f"b-{number}.png"}
        for name, colour in zip(frames.values(), (50, 200), strict=True):
            manifests.frame(self.command.folder / name, (number % 256, self._waves % 7, colour))
        rows = [
            {
                **row,
                "name": f"wave-{number}-{row['name']}",
                "prompt": f"wave {number}, {row['prompt']}",
                "takes": "2" if place % 4 == 3 else "1",
            }
            for place, row in enumerate(manifests.rows(ROWS, **frames))
        ]
        manifests.write(self.command.folder / f"wave-{number}.csv", rows)
        self._wanted.update({row["prompt"]: int(row["takes"]) for row in rows})

    def _arguments(self, *, settle: str = "0") -> list[str]:
        waves = [f"wave-{number}.csv" for number in range(1, self._waves + 1)]
        trust = ["--trust-table"] if self._doubted else []
        return ["run", *waves, "--yes", "--settle", settle, *trust]

    def _at(self, *, skew: float = 0.0) -> Forked:
        clock = {"ahead": self._ahead + skew, "pace": PACE}
        return dataclasses.replace(self.command, clock=clock)

    def _kill(self, command: Forked | None = None) -> None:
        """Run in trouble, and kill it where the dice say, or when it has gone on long enough."""
        dice, fal = self._dice, self.fal
        name = ANY_MOMENT if dice.random() < 0.6 else dice.choice(NAMED)
        point = POINTS[name]
        without = {"history"} if self._kind is Kind.SNAPSHOT else set[str]()
        if point.locked or name == "id recorded":
            without |= {"submit", "status", "result", "download", "generation"}
        faults = trouble.drawn(dice, without=without)
        if self._kind is Kind.STAYS and dice.random() < 0.2:
            faults.append({"on": "history", "do": "omit", "probability": 0.3})
        fal.script(*point.faults, *faults)
        before = fal.totals()["last_event"]
        count = 1 if point.event else dice.randint(0, 4 * MOST_EVENTS)
        skew = dice.choice(SKEWS)
        runs = command or self.command
        runs = dataclasses.replace(runs, clock=self._at(skew=skew).clock, connect_to=fal.url)
        arguments = [*self._arguments(), "--concurrency", str(dice.choice([1, 2, 5, 8]))]
        cap = dice.choice([None, None, *(PRICE * n for n in (1, 3, 8))])
        if cap is not None:
            arguments += ["--max-cost", str(cap)]
        self._note(f"{name} x{count}: skew {skew:g}, {arguments}, {json.dumps(faults)}")
        self._account_for()
        self._run = (frozenset(self._accepted()), cap)
        with runs.running(*arguments) as run:
            within = RUN_SECONDS if name == ANY_MOMENT or dice.random() < 0.9 else 3 * RUN_SECONDS
            if not count or comes(
                fal, run, point.event, count=count, since=before, within_seconds=within
            ):
                with locked(runs.folder / TABLE) if point.locked else nullcontext():
                    point.then(fal, run, runs.folder)
                    run.kill()
                    run.wait()
            run.kill()
            said = run.wait()
        fal.script()
        (self.tally.kills if said.returncode == KILLED else self.tally.missed)[name] += 1
        self._heard(said.returncode, said.stderr, arguments, of_another=command is not None)
        self._account_for()

    def _heard(
        self, code: int, errors: str, arguments: Sequence[str], *, of_another: bool = False
    ) -> None:
        self._note(f"exit {code}: {errors[-600:]}")
        doubt = code == IN_DOUBT and ("price" in errors or "--trust-table" in errors)
        assert code in EXITS or doubt, (code, errors)
        assert "Traceback" not in errors, errors
        if of_another:
            return
        self._mixed_up.update(GIVEN_AWAY.findall(errors))
        if "again with --trust-table after" in errors:
            self._drain()
            self._pass(16 * HOUR)
        elif code in {IN_DOUBT, 5} and "--trust-table" in errors:
            self._doubted = True
        elif "--trust-table" in arguments and code in {0, 1, 3}:
            self._doubted = False

    def _open_fal(self) -> None:
        self._emulated = Emulated(
            self._zygote,
            *("--state", str(self._folder / "fal"), "--seconds", "0.3"),
            clock={"ahead": self._ahead, "pace": 1.0},
        )
        self.command = self.command.at(self.fal.url)

    def _die(self) -> None:
        """fal crashes, and comes back with all that it had accepted: at once, or hours later."""
        hours = 0 if self._kind is Kind.STAYS else self._dice.choice([0, 1, 16, 26])
        if hours > 1:
            self._drain()
        self._pass(hours * HOUR)
        self.tally.deaths_of_fal += 1

    def _pass(self, seconds: float) -> None:
        self._note(f"{seconds / HOUR:g} h pass")
        self._emulated.kill()
        self._emulated.__exit__()
        self._ahead += seconds
        self._open_fal()

    def _drain(self) -> None:
        self.fal.script()
        until(lambda: self.fal.totals()["in_flight_usd"] == "0.00")

    def _damage(self) -> None:
        """A clip is deleted, moved away, or cut."""
        clips = sorted((self.command.folder / "videos").glob("*.mp4"))
        if not clips:
            return
        clip = self._dice.choice(clips)
        how = self._dice.choice(["deleted", "moved", "cut", "emptied"])
        self._note(f"{clip.name} {how}")
        self.done[f"clips {how}"] += 1
        self._damaged.add(clip.name)
        if how == "deleted":
            clip.unlink()
        elif how == "moved":
            clip.rename(self._folder / clip.name)
        else:
            data = clip.read_bytes()
            clip.write_bytes(data[: len(data) // 2] if how == "cut" else b"")

    # Folders

    def _keep(self) -> None:
        """Make a copy to be put back later."""
        home = self.command.folder / "videos"
        if self._kind is Kind.STAYS or not any(home.glob("*.mp4")):
            # Without a clip a table can't tell that a list shows nothing.
            return
        copy = self._folder / f"copy-{len(self._kept)}"
        shutil.copytree(self.command.folder, copy / "project")
        state = self._folder / "state"
        if state.exists():
            shutil.copytree(state, copy / "state")
        self._kept.append(copy)
        self._note(f"kept {copy.name}")

    def _put_back(self) -> None:
        if not self._kept:
            return
        copy = self._dice.choice(self._kept)
        if self._kind is Kind.SNAPSHOT:
            self._drain()
        self._account_for()
        self._note(f"put back {copy.name}")
        self.done["folders put back"] += 1
        waves = {path: path.read_bytes() for path in self.command.folder.glob("wave-*.csv")}
        frames = {path: path.read_bytes() for path in self.command.folder.glob("*.png")}
        shutil.rmtree(self.command.folder)
        shutil.copytree(copy / "project", self.command.folder)
        for path, data in {**waves, **frames}.items():
            path.write_bytes(data)
        if self._kind is Kind.SNAPSHOT:
            shutil.rmtree(self._folder / "state", ignore_errors=True)
            if (copy / "state").exists():
                shutil.copytree(copy / "state", self._folder / "state")

    def _copy(self) -> None:
        """A copy beside the folder is run for once, and thrown away."""
        if self._kind is not Kind.PUT_BACK:
            return
        copy = self._folder / "beside"
        shutil.copytree(self.command.folder, copy)
        self.done["copies run"] += 1
        self._note("a copy runs")
        self._kill(dataclasses.replace(self.command, folder=copy))
        shutil.rmtree(copy)

    # Judgement

    def _accepted(self) -> dict[str, dict[str, Any]]:
        return {each["request_id"]: each for each in self.fal.ledger()["accepted"]}

    def _account_for(self) -> None:
        """Hold what was bought so far against what was wanted and what the last run might spend."""
        accepted = self._accepted()
        if twice := list(self.paid_twice(accepted)):
            raise PaidTwice(len(twice), "\n".join(twice))
        before, cap = self._run
        if cap is not None:
            spent = sum(
                Decimal(each["price_usd"])
                for name, each in accepted.items()
                if name not in before and (each["ended_at"] is None or _paid(each))
            )
            assert spent <= cap, f"${spent} were spent under --max-cost {cap}"

    def paid_twice(self, accepted: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """Yield what was accepted while as many as are wanted were paid for or under way."""
        prompts: dict[str, list[Mapping[str, Any]]] = {}
        for each in sorted(accepted.values(), key=lambda each: datetime.fromisoformat(each["at"])):
            at, prompt = datetime.fromisoformat(each["at"]), each["input"]["prompt"]
            earlier = prompts.setdefault(prompt, [])
            counting = [
                other
                for other in earlier
                if _paid(other)
                or other["ended_at"] is None
                or datetime.fromisoformat(other["ended_at"]) > at
            ]
            if len(counting) >= self._wanted[prompt]:
                ids = ", ".join(f"{other['request_id']} of {other['at']}" for other in counting)
                yield f"{prompt!r}: {each['request_id']} of {at} although there was {ids}"
            earlier.append(each)

    def heal(self) -> None:
        """Let nights without trouble pass until all is done, with what a person would do."""
        self._run = (frozenset(), None)
        for night in range(NIGHTS):
            self._drain()
            arguments = self._arguments(settle="90s")
            said = self._at()(*arguments)
            self._heard(said.returncode, said.stderr, arguments)
            self._account_for()
            self.done["healing runs"] += 1
            if self._throw_away_mixed_up():
                continue
            if said.returncode == 0 or (said.returncode == 1 and not self._settle()):
                self.done[f"healed after {night} nights"] += 1
                return
            if said.returncode != 1:
                self._settle()
                if said.returncode != 5 or "--trust-table" not in said.stderr:
                    self._pass(26 * HOUR)
            if night == LOOKS_AT_DASHBOARD:
                self._resolve_absent()

    def _throw_away_mixed_up(self) -> bool:
        """Throw away clips of which the program said that they are another's, if there are any."""
        clips = [Path(row["video_path"]) for row in exported(self._at()) if row["video_path"]]
        told = {clip: KEY.sub("", clip.stem) for clip in clips if clip.exists()}
        wrong = [clip for clip, name in told.items() if name in self._mixed_up]
        # What is not home yet is thrown away later.
        self._mixed_up -= {told[clip] for clip in wrong}
        for clip in wrong:
            self._note(f"{clip.name} is another's")
            self.done["clips of another thrown away"] += 1
            clip.unlink()
        return bool(wrong)

    def _resolve_absent(self) -> None:
        """Resolve what no list can prove, as a person does who looks at fal's dashboard."""
        table = {row["name"]: row for row in exported(self._at())}
        owned = {row["request_id"] for row in table.values()}
        free = {
            each["input"]["prompt"] for name, each in self._accepted().items() if name not in owned
        }
        jobs = [
            str(each["job"])
            for each in status(self._at())["attention"]
            if each["state"] == "uncertain" and table[each["name"]]["prompt"] not in free
        ]
        if jobs:
            said = self._at()("resolve", *jobs, "--absent", "--yes")
            self._note(f"resolve {jobs}: {said}")
            self.done["jobs: resolve --absent"] += len(jobs)

    def _settle(self) -> bool:
        """Do for failed jobs what a person would; return whether there was something to do."""
        accepted = self._accepted()
        acts: dict[tuple[str, ...], list[str]] = {}
        for each in status(self._at())["attention"]:
            request, kind = accepted.get(each["request_id"]), each["error_type"]
            if each["state"] != "failed":
                continue
            if kind in {"paid_but_lost", "clip_missing"}:
                act: tuple[str, ...] = ("fetch",)
            elif request is not None and request["http_status"] == OK:
                act = ("resolve", "--read-again", "--yes")
            elif kind in AGAIN:
                act = ("retry", "--yes")
            else:
                continue
            acts.setdefault(act, []).append(str(each["job"]))
        for (verb, *options), jobs in acts.items():
            said = self._at()(verb, *jobs, *options)
            self._note(f"{verb} {jobs}: {said}")
            self.done[f"jobs: {verb}"] += len(jobs)
        return bool(acts)

    def judge(self) -> Findings:
        """Hold table, folder and ledger against each other at the end."""
        accepted, command = self._accepted(), self._at()
        found = Findings(
            rows=self.takes,
            accepted=len(accepted),
            duplicates=len(list(self.paid_twice(accepted))),
        )
        table = exported(command)
        self._judge_rows(table, accepted, found)
        home = {row["request_id"] for row in table if row["state"] == "succeeded"}
        for name, each in accepted.items():
            if _paid(each) and name not in home:
                found.lost.append(f"{name} of {each['input']['prompt']!r} was paid for")
        if len(table) != self.takes:
            found.other.append(f"{self.takes} clips are wanted and {len(table)} in the table")
        refused = Counter(
            each["input"]["prompt"] for each in accepted.values() if Decimal(each["billed_usd"])
        )
        self.done["billed refusals beside a clip"] += sum(
            max(0, count - self._wanted[prompt]) for prompt, count in refused.items()
        )
        # What was damaged before it was recorded is nobody's, and is not written over.
        for name in self._damaged - {Path(row["video_path"]).name for row in table}:
            (command.folder / "videos" / name).unlink(missing_ok=True)
        judge_folder(command.folder / "videos", table, found)
        money = status(command)["money"]
        if money["reserved"] or money["uncertain"]:
            found.other.append(f"the table still says {money}")
        return found

    def _judge_rows(
        self,
        table: Sequence[Mapping[str, str]],
        accepted: Mapping[str, Mapping[str, Any]],
        found: Findings,
    ) -> None:
        owners, home = self._owners(), set[str]()
        for row in table:
            name, owned = row["name"], row["request_id"]
            request = accepted.get(owned)
            if row["state"] == "failed" and row["error_type"] == "content_policy_violation":
                if request is None or _paid(request):
                    said = None if request is None else request["http_status"]
                    found.lost.append(f"{name}: {owned} did not fail, it ended with {said}")
            elif row["state"] != "succeeded":
                found.stuck.append(f"{name} is {row['state']}: {row['error_message']}")
            elif request is None or request["input"]["prompt"] != row["prompt"]:
                found.lost.append(f"{name}: {owned} is of another row")
            elif owned in home:
                found.lost.append(f"{name}: {owned} has two rows")
            elif owned != (owner := owners[urlsplit(row["video_url"]).path]):
                rows = [each["name"] for each in table if each["request_id"] == owner]
                alike = [each["name"] for each in table if each["video_url"] == row["video_url"]]
                found.lost.append(
                    f"{name}: its clip is of {owner}, which belongs to {rows or 'no row'}; rows "
                    f"with its address: {alike}"
                )
            else:
                judge_clip(row, request, self.command.folder / "videos", found)
                home.add(owned)

    def _owners(self) -> dict[str, str]:
        """Return the request of each clip by its path, of which a request may have had several."""
        lines = (self._folder / "fal" / JOURNAL).read_text().splitlines()
        files = [entry for entry in map(json.loads, lines) if entry["kind"] == "file"]
        return {each["path"]: each["request_id"] for each in files if each["request_id"]}

    def _note(self, what: str) -> None:
        self.log.append(what)


def _paid(request: Mapping[str, Any]) -> bool:
    """Tell whether a clip was made, which fal bills."""
    return bool(request["http_status"] == OK)
