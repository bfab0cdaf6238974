"""A clip's pictures are decoded before it counts: in a process of its own, which may die of it."""

import os
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.command import until
from tweenbatch.clips import child, mp4, pictures
from tweenbatch.clips.checker import Checker
from tweenbatch.errors import BrokenVideo, CheckUnavailable

SIDE = 64

Encode = Callable[..., bytes]


@pytest.fixture(scope="module")
def encode(tmp_path_factory: pytest.TempPathFactory) -> Encode:
    """Make a clip of moving noise, or of one colour."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[tuple[Any, ...], bytes] = {}

    def clip(
        *, count: int = 24, colour: int | None = None, codec: str = "libx264", **options: str
    ) -> bytes:
        facts = (count, colour, codec, *sorted(options.items()))
        if facts not in made:
            path = folder / f"{len(made)}.mp4"
            noise = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
            with av.open(path, "w", options={"movflags": "faststart"}) as container:
                stream: Any = container.add_stream(codec, rate=24, options=options)
                stream.width = stream.height = SIDE
                stream.pix_fmt = "yuv420p"
                for n in range(count):
                    shown = (
                        np.roll(noise, n, axis=1) if colour is None else np.full_like(noise, colour)
                    )
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
                container.mux(stream.encode())
            made[facts] = path.read_bytes()
        return made[facts]

    return clip


def spoilt(clip: bytes, begin: float, end: float, filling: bytes = b"\0") -> bytes:
    """The clip with this part of its media data filled with something else."""
    at, position = range(0), 0
    while position < len(clip):
        size, kind = struct.unpack_from(">I4s", clip, position)
        at = range(position + 8, position + size) if kind == b"mdat" else at
        position += size
    first, last = (at.start + int(len(at) * share) for share in (begin, end))
    return clip[:first] + (filling * len(at))[: last - first] + clip[last:]


GOOD: dict[str, dict[str, Any]] = {
    "one group": {},
    "one picture": {"count": 1},
    "groups": {"g": "6"},
    "every picture a key": {"g": "1"},
    "open groups": {"g": "8", "x264-params": "open-gop=1:keyint=8:min-keyint=8"},
    "no reordering": {"bf": "0"},
    "pyramids": {"bf": "4", "x264-params": "b-pyramid=normal"},
    "black": {"colour": 0},
    "white": {"colour": 255},
    "hevc": {"codec": "libx265"},
    "hevc in open groups": {"codec": "libx265", "x265-params": "keyint=8:min-keyint=8:open-gop=1"},
    "mpeg4": {"codec": "mpeg4"},
}


@pytest.mark.parametrize("kind", GOOD)
def test_a_clip_that_plays_is_taken(tmp_path: Path, encode: Encode, kind: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode(**GOOD[kind]))
    clip = pictures.check(path)
    assert (clip.width, clip.height, clip.frames) == (SIDE, SIDE, GOOD[kind].get("count", 24))


@pytest.mark.parametrize("kind", ["one group", "groups", "every picture a key", "hevc"])
@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\x5a\xc3\x11\x99"])
@pytest.mark.parametrize("part", [(0.0, 1.0), (0.0, 0.5), (0.5, 1.0), (0.8, 1.0), (0.4, 0.7)])
def test_a_clip_with_whole_boxes_and_spoilt_pictures_is_refused(
    tmp_path: Path, encode: Encode, kind: str, filling: bytes, part: tuple[float, float]
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(spoilt(encode(**GOOD[kind]), *part, filling))
    mp4.check(path)  # right size, right boxes
    with pytest.raises(BrokenVideo, match=r"picture|can't be read"):
        pictures.check(path)


def test_what_the_short_way_suspects_is_decoded_as_a_player_would(
    tmp_path: Path, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paid clip is not refused because of a short cut."""

    def suspects(_container: object) -> None:
        raise BrokenVideo("it looks odd")

    monkeypatch.setattr(pictures, "_decode_some", suspects)
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode())
    assert pictures.check(path).frames == 24
    path.write_bytes(spoilt(encode(), 0.5, 1.0))
    with pytest.raises(BrokenVideo):
        pictures.check(path)


@pytest.fixture
def clip(tmp_path: Path, encode: Encode) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode())
    return path


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with Checker() as made:
        yield made


def test_one_process_tells_good_clips_from_bad_ones(
    checker: Checker, clip: Path, encode: Encode
) -> None:
    bad = clip.with_name("bad.mp4")
    bad.write_bytes(spoilt(encode(), 0.0, 1.0))
    pids = []
    for _ in range(2):
        assert checker.check(clip).frames == 24
        with pytest.raises(BrokenVideo, match="can't be decoded"):
            checker.check(bad)
        assert checker._child is not None
        pids.append(checker._child.pid)
    assert len(set(pids)) == 1


def test_a_file_that_can_t_be_read_is_no_broken_clip(checker: Checker, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checker.check(tmp_path / "nothing.mp4")


@pytest.mark.parametrize("name", ["ü.mp4", "a b'\"\\.mp4", "\udcff.mp4", "line\nbreak.mp4"])
def test_any_name_of_a_file_reaches_the_process(checker: Checker, clip: Path, name: str) -> None:
    assert checker.check(clip.rename(clip.with_name(name))).frames == 24


def test_the_process_knows_nothing_of_our_environment(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAL_KEY", "secret")
    with Checker() as checker:
        checker.check(clip)
        assert checker._child is not None
        environ = Path(f"/proc/{checker._child.pid}/environ")
        assert b"FAL_KEY" not in environ.read_bytes()


def stand_in(code: str) -> tuple[str, ...]:
    """A process that says it is ready and then does this with each question."""
    program = f"""
        import os, signal, sys, time
        print('{{"ready": true}}', flush=True)
        for line in sys.stdin:
            {code}
    """
    return sys.executable, "-c", textwrap.dedent(program)


@pytest.mark.parametrize(
    "death",
    ["os._exit(3)", "os.kill(os.getpid(), signal.SIGSEGV)", "print('{', flush=True)", "break"],
    ids=["exit", "crash", "nonsense", "end"],
)
def test_a_clip_that_the_process_dies_of_is_broken(clip: Path, death: str) -> None:
    with (
        Checker(command=stand_in(death)) as checker,
        pytest.raises(BrokenVideo, match="it crashed the decoder"),
    ):
        checker.check(clip)


def test_a_clip_over_which_the_process_hangs_is_broken_and_the_process_is_ended(
    clip: Path,
) -> None:
    with Checker(command=stand_in("time.sleep(600)"), check_seconds=0.2) as checker:
        running = checker._running()
        with pytest.raises(BrokenVideo, match="not decoded within"):
            checker.check(clip)
        assert running.poll() == -signal.SIGKILL


def test_after_a_process_that_was_killed_the_next_clip_gets_another(clip: Path) -> None:
    with Checker() as checker:
        checker.check(clip)
        assert checker._child is not None
        checker._child.kill()
        checker._child.wait()
        assert checker.check(clip).frames == 24


@pytest.mark.parametrize(
    "command",
    [
        ("/nothing/python",),
        (sys.executable, "-c", "pass"),
        (sys.executable, "-c", 'print(\'{"unavailable": "ImportError: no av"}\')'),
    ],
    ids=["no program", "ends", "no library"],
)
def test_a_process_that_does_not_start_is_this_machine_s_trouble_and_no_clip_s(
    clip: Path, command: tuple[str, ...]
) -> None:
    with Checker(command=command) as checker, pytest.raises(CheckUnavailable):
        checker.check(clip)


def test_time_and_memory_of_the_process_are_bounded(clip: Path) -> None:
    with Checker() as checker:
        checker.check(clip)
        assert checker._child is not None
        limits = Path(f"/proc/{checker._child.pid}/limits").read_text(encoding="ascii")
    bounds = {line[:25].strip(): line[25:].split()[0] for line in limits.splitlines()[1:]}
    assert bounds["Max address space"] == str(child.MEMORY_BYTES)
    assert child.CPU_SECONDS <= int(bounds["Max cpu time"]) <= child.CPU_SECONDS + 10
    assert bounds["Max file size"] == "0"


def test_no_process_outlives_a_run_that_is_killed(clip: Path) -> None:
    program = """
        import sys, time
        from pathlib import Path
        from tweenbatch.clips.checker import Checker
        checker = Checker()
        checker.check(Path(sys.argv[1]))
        print(checker._child.pid, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(clip)], stdout=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        os.kill(pid, 0)
        run.kill()
        run.wait()
        until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in _state(pid))


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
