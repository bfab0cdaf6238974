"""``schedule``: what starts a job file every night, as each system reads it."""

import plistlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import manifests, systemd
from support.command import KEY, Command, executable
from support.fal import Server

NIGHT = "jobs/night.toml"
ODD = 'night\'s "work" [old] 50% $HOME é'
"""A folder as people make them, with all that a shell, a crontab or systemd would take amiss."""


@pytest.fixture
def project(tmp_path: Path, fal: Server) -> Iterator[Command]:
    folder = tmp_path / ODD
    (folder / "jobs").mkdir(parents=True)
    manifests.project(folder / "jobs", 1)
    job_file(folder)
    key = folder / "env"
    key.write_text(f"FAL_KEY={KEY}\n")
    yield Command(folder=folder, connect_to=fal.url, key=None)
    key.unlink()


def job_file(folder: Path, *, yes: str = "yes = true", zone: str = "") -> None:
    window = f'[window]\ntimezone = "{zone}"\n' if zone else ""
    (folder / "jobs" / "night.toml").write_text(
        f'manifests = ["manifest.csv"]\noutput = "../videos"\n{yes}\n{window}'
    )


def printed(project: Command, kind: str, *options: str) -> str:
    made = project("schedule", "jobs/night.toml", f"--{kind}", "--env-file", "env", *options)
    assert made.returncode == 0, made.stderr
    return made.stdout


def verified(folder: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt install systemd)")
    units = sorted(str(path) for path in folder.iterdir())
    return subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("zone", ["", "Europe/Berlin"])
def test_systemd_takes_the_units_as_they_are(project: Command, zone: str) -> None:
    job_file(project.folder, zone=zone)
    made = project("schedule", "jobs/night.toml", "--systemd", "--write", "units")
    assert made.returncode == 0
    assert "systemctl --user enable --now tweenbatch-night.timer" in made.stderr
    checked = verified(project.folder / "units")
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_mistake_in_a_unit_would_be_found(project: Command) -> None:
    project("schedule", "jobs/night.toml", "--systemd", "--write", "units", "--at", "04:15")
    timer = project.folder / "units" / "tweenbatch-night.timer"
    timer.write_text(timer.read_text().replace("04:15:00", "late"))
    assert "late" in verified(timer.parent).stderr


def test_the_units_say_what_a_night_needs(project: Command) -> None:
    job_file(project.folder, zone="Europe/Berlin")
    text = printed(project, "systemd", "--at", "22:30")
    for line in (
        "OnCalendar=*-*-* 22:30:00 Europe/Berlin",
        "Persistent=true",
        "OnFailure=tweenbatch-night-failed.service",
        "TimeoutStartSec=infinity",
        "KillSignal=SIGINT",
        "SuccessExitStatus=3 75 130",
    ):
        assert line in text.splitlines()


def test_what_systemd_reads_in_the_service_does_the_night(project: Command, fal: Server) -> None:
    project("schedule", NIGHT, "--systemd", "--env-file", "env", "--write", "units")
    units = project.folder / "units"
    service, failed = (
        systemd.read((units / f"tweenbatch-night{name}.service").read_text(encoding="utf-8"))
        for name in ("", "-failed")
    )
    assert service.key_files() == [project.folder / "env"]
    key = dict(line.split("=") for line in (project.folder / "env").read_text().splitlines())
    for each, words in ((service, "1 of 1 clip done"), (failed, "1 clip made")):
        ran = subprocess.run(
            each.words,
            cwd=each.folder,
            env=at_home(project) | key,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        assert words in ran.stdout
    assert fal.totals()["posts"] == 1
    assert (project.folder / "videos" / "clip-1.mp4").is_file()


def at_home(project: Command) -> dict[str, str]:
    """The environment of a shell that cron or launchd starts: it knows nothing of a project."""
    return {name: value for name, value in project.environ().items() if name != "FAL_KEY"}


def by_sh(line: str, project: Command) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", "-c", line],
        cwd="/",
        env=at_home(project),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_lines_of_a_crontab_do_what_they_say(project: Command, fal: Server) -> None:
    nightly, reboot = [
        line for line in printed(project, "cron").splitlines() if line and line[0] in "1234567890@"
    ]
    assert nightly.startswith("15 4 * * * cd ")
    assert not re.search(r"(?<!\\)%", nightly), "cron ends a command at a bare %"
    commands = [nightly.split(" ", 5)[5], reboot.split(" ", 1)[1]]
    assert commands[0] == commands[1]
    for command in commands:
        ran = by_sh(command.replace(r"\%", "%"), project)
        assert ran.returncode == 0, ran.stderr
    assert fal.totals()["posts"] == 1
    assert (project.folder / "videos" / "clip-1.mp4").is_file()


def test_a_crontab_knows_the_zone(project: Command) -> None:
    assert "CRON_TZ" not in printed(project, "cron")
    job_file(project.folder, zone="Asia/Tokyo")
    assert "CRON_TZ=Asia/Tokyo\n" in printed(project, "cron")


def test_a_run_that_died_is_reported(project: Command) -> None:
    script = printed(project, "cron").splitlines()[-1].removeprefix("@reboot ")
    killed = re.sub(r"\S+ run '.*?night.toml'(?=; case)", "sh -c 'kill -9 $$'", script)
    assert killed != script
    assert "nothing ran" in by_sh(killed.replace(r"\%", "%"), project).stdout
    broken = killed.replace("kill -9 $$", "exit 1")
    assert "nothing ran" in by_sh(broken.replace(r"\%", "%"), project).stdout
    quiet = killed.replace("kill -9 $$", "exit 3")
    assert by_sh(quiet.replace(r"\%", "%"), project).stdout == ""


def test_launchd_gets_an_agent(project: Command, fal: Server) -> None:
    agent: dict[str, Any] = plistlib.loads(printed(project, "launchd").encode())
    assert agent["StartCalendarInterval"] == {"Hour": 4, "Minute": 15}
    assert agent["WorkingDirectory"] == str(project.folder)
    assert agent["ExitTimeOut"] >= 60
    ran = subprocess.run(
        agent["ProgramArguments"], cwd="/", env=at_home(project), capture_output=True, check=False
    )
    assert ran.returncode == 0
    assert fal.totals()["posts"] == 1


def test_a_stop_by_launchd_waits_for_the_reply_to_a_submission(
    project: Command, fal: Server
) -> None:
    agent = plistlib.loads(printed(project, "launchd").encode())
    fal.script({"on": "submit", "do": "hold", "at": "reply", "id": "late"})
    shell = subprocess.Popen(
        agent["ProgramArguments"],
        cwd="/",
        env=at_home(project),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        fal.wait_for("held")
        shell.terminate()
        assert shell.stderr is not None
        assert any("stopping" in line for line in shell.stderr)
        fal.release("late")
        assert shell.wait(60) == 130
    finally:
        shell.kill()
        shell.communicate()
    assert project.jobs() == {"submitted": 1}


def test_kubernetes_gets_a_cronjob(project: Command) -> None:
    job_file(project.folder, zone="Europe/Berlin")
    cron = yaml.safe_load(printed(project, "kubernetes", "--image", "here/tween: 1"))
    spec = cron["spec"]
    assert (spec["schedule"], spec["timeZone"]) == ("15 4 * * *", "Europe/Berlin")
    assert spec["concurrencyPolicy"] == "Forbid"
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["command"][2].startswith("tweenbatch run jobs/night.toml & ")
    assert container["image"] == "here/tween: 1"
    assert container["envFrom"] == [{"secretRef": {"name": "tweenbatch"}}]
    assert pod["terminationGracePeriodSeconds"] >= 60
    (rule,) = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}


def test_kubernetes_gets_a_name_and_a_path_as_it_takes_them(project: Command) -> None:
    name = f"$(HOME) $$ é: {'long' * 20}.toml"
    (project.folder / "jobs" / "night.toml").rename(project.folder / name)
    made = project("schedule", name, "--kubernetes")
    cron = yaml.safe_load(made.stdout)
    assert len(cron["metadata"]["name"]) <= 52
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", cron["metadata"]["name"])
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    # In a pod $$ is a $, which begins no variable.
    assert f"run '{name.replace('$', '$$')}' & " in pod["containers"][0]["command"][2]


def test_kubernetes_gets_nothing_from_outside_its_volume(project: Command) -> None:
    elsewhere = replace(project, folder=project.folder / "elsewhere")
    elsewhere.folder.mkdir()
    refused = elsewhere("schedule", "../jobs/night.toml", "--kubernetes")
    assert refused.returncode == 2
    assert "the only folder that the pod gets" in refused.stderr


@pytest.mark.parametrize(
    ("kind", "zone", "words"),
    [
        ("cron", "Asia/Tokyo", "Debian's cron ignores it"),
        ("launchd", "Asia/Tokyo", "launchd ignores time zones: it starts at 04:15 by this"),
        ("kubernetes", "", "starts at 04:15 by its own clock, usually UTC"),
    ],
)
def test_a_zone_that_is_not_obeyed_is_warned_of(
    project: Command, kind: str, zone: str, words: str
) -> None:
    job_file(project.folder, zone=zone)
    assert words in project("schedule", NIGHT, f"--{kind}").stderr
    job_file(project.folder, zone="" if zone else "Asia/Tokyo")
    assert words not in project("schedule", NIGHT, f"--{kind}").stderr


def test_a_table_that_only_this_shell_names_is_warned_of(project: Command) -> None:
    here = replace(project, connect_to=None, environment={"TWEENBATCH_DB": "sqlite:///my.db"})
    said = here("schedule", NIGHT, "--systemd", "--env-file", "env").stderr
    assert "TWEENBATCH_DB: set in this shell, but not at night" in said
    assert "my.db" not in said
    quiet = replace(here, environment={})
    assert quiet("schedule", NIGHT, "--systemd", "--env-file", "env").stderr == ""


def test_what_is_said_to_install_it_does(project: Command) -> None:
    home = project.folder / "home"
    made = replace(project, environment={"HOME": str(home)})(
        *("schedule", NIGHT, "--systemd", "--write", "units")
    )
    steps = made.stderr.partition("to install:\n")[2]
    # Nobody's systemd is asked; the files are made and copied.
    there = [line for line in steps.splitlines() if "ctl " not in line]
    ran = by_sh("set -e\n" + "\n".join(there), replace(project, environment={"HOME": str(home)}))
    assert ran.returncode == 0, ran.stderr
    key = home / ".config" / "tweenbatch" / "env"
    assert (key.read_text(), key.stat().st_mode & 0o777) == ("FAL_KEY=your-key\n", 0o600)
    assert sorted(path.name for path in (home / ".config/systemd/user").iterdir()) == [
        "tweenbatch-night-failed.service",
        "tweenbatch-night.service",
        "tweenbatch-night.timer",
    ]


def test_a_key_that_others_can_read_is_to_be_closed(project: Command) -> None:
    write = ("schedule", NIGHT, "--cron", "--env-file", "env", "--write", "units")
    (project.folder / "env").chmod(0o644)
    assert "chmod 600" in project(*write).stderr
    (project.folder / "env").chmod(0o600)
    assert "chmod 600" not in project(*write).stderr


@contextmanager
def in_a_container(project: Command, more: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """The first process of the pod, in the folder that its volume holds."""
    cron = yaml.safe_load(printed(project, "kubernetes"))
    job_file(project.folder, yes=f"yes = true\n{more}")
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    environment = {**project.environ(), "FAL_KEY": KEY}
    environment["PATH"] = f"{Path(executable()).parent}:{environment['PATH']}"
    command = pod["containers"][0]["command"]
    with subprocess.Popen(command, cwd=project.folder, env=environment) as process:
        yield process


@pytest.mark.parametrize(("more", "code"), [("", 0), ("limit = 0", 0), ("takes = 0", 2)])
def test_a_pod_fails_only_if_a_person_is_needed(project: Command, more: str, code: int) -> None:
    with in_a_container(project, more) as pod:
        assert pod.wait() == code


def test_a_pod_that_is_stopped_winds_up_and_leaves_the_night_to_another(
    project: Command, fal: Server
) -> None:
    fal.script({"on": "generation", "do": "hold"})
    with in_a_container(project) as pod:
        fal.wait_for("accepted")
        pod.terminate()
        # A pod that ends with 0 has done its work, and gets no successor.
        assert pod.wait() == 130
    fal.script()
    fal.release()
    with in_a_container(project) as pod:
        assert pod.wait() == 0
    assert fal.totals()["posts"] == 1


def test_nothing_that_differs_is_overwritten(project: Command) -> None:
    write = ("schedule", "jobs/night.toml", "--cron", "--write", "units")
    for _ in range(2):
        assert project(*write).returncode == 0
    other = project(*write, "--at", "05:00")
    assert other.returncode == 2
    assert "tweenbatch-night.cron already exists with other content; --force" in other.stderr
    assert project(*write, "--at", "05:00", "--force").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((NIGHT,), "choose one of --systemd, --cron"),
        ((NIGHT, "--cron", "--systemd"), "choose one of --systemd, --cron"),
        (("jobs/manifest.csv", "--cron"), "isn't a job file"),
        ((NIGHT, "--cron", "--at", "noon"), "'noon' is not understood"),
        ((NIGHT, "--cron", "--at", "04:15:30"), "'04:15:30' is not understood"),
        ((NIGHT, "--cron", "--at", "04:15+02:00"), "'04:15+02:00' is not understood"),
        ((NIGHT, "--cron", "--write", "env/units"), "can't write to env/units (Not a directory)"),
        ((NIGHT, "--cron", "--env-file", "a\nb"), "a character that a schedule can't contain"),
        (
            (NIGHT, "--launchd", "--env-file", "\udcff"),
            "has a character that a schedule can't contain",
        ),
    ],
)
def test_what_can_not_be_scheduled_is_reported(
    project: Command, arguments: tuple[str, ...], words: str
) -> None:
    refused = project("schedule", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert words in refused.stderr


def test_a_job_file_that_would_ask_is_warned_of(project: Command) -> None:
    job_file(project.folder, yes="")
    assert "has no `yes = true`" in project("schedule", NIGHT, "--cron").stderr


def test_it_installs_nothing(project: Command) -> None:
    before = sorted(project.folder.rglob("*"))
    printed(project, "systemd")
    assert sorted(project.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("status", "tells"),
    [("2", False), ("4", False), ("75", False), ("1", True), ("9", True), (None, True)],
)
def test_the_hook_of_a_unit_is_silent_where_the_run_has_told_itself(
    project: Command, status: str | None, tells: bool
) -> None:
    (line,) = re.findall(r"^ExecCondition=(.*)$", printed(project, "systemd"), re.MULTILINE)
    environment = {} if status is None else {"MONITOR_EXIT_STATUS": status}
    asked = subprocess.run(shlex.split(line.replace("$$", "$")), env=environment, check=False)
    assert (asked.returncode == 0) is tells
