"""Which of fal's past requests a waiting job was paid for with, in a life that its table lost.

Pure judgement. A request is a job's where all that makes the job's key is equal: the endpoint,
the prompt, the parameters and the frames, whose bytes count, wherever they were uploaded, and
whose addresses count without what signs them. Equal contents are interchangeable: each request is
given to one job, and each job one request.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import product

from tweenbatch.fal.addresses import serves_files
from tweenbatch.models import Endpoint
from tweenbatch.records import Frame, Job, PastRequest, canonical_json
from tweenbatch.records.plain import plain_frame
from tweenbatch.records.signatures import unsigned

_NAMED = re.compile(r"(?:^|[/_])([0-9a-f]{16})\.[a-z]+$")
"""How our uploads are called, wherever fal puts them: by the beginning of their digest."""

NO_FRAME = ""
"""In the place of an end frame that is not asked for."""


@dataclass(frozen=True, slots=True)
class _Input:
    """What was asked of fal: all but the frames as one text, and the frames' addresses."""

    rest: str
    start: str
    end: str


def frames_to_see(
    jobs: Iterable[Job], requests: Iterable[PastRequest], endpoint: Endpoint
) -> set[str]:
    """Return the addresses whose bytes decide whether a request is one of the jobs'."""
    files: dict[str, list[bool]] = defaultdict(lambda: [False, False])
    for job in jobs:
        frames = files[_rest(job, endpoint)]
        frames[0] |= job.spec.start.sha256 is not None
        frames[1] |= job.spec.end is not None and job.spec.end.sha256 is not None
    urls: set[str] = set()
    for request in requests:
        asked = _input(request, endpoint)
        if asked is not None and asked.rest in files:
            in_files = zip((asked.start, asked.end), files[asked.rest], strict=True)
            urls |= {url for url, in_file in in_files if in_file and url != NO_FRAME}
    return urls


def recognise(
    jobs: Sequence[Job],
    requests: Iterable[PastRequest],
    endpoint: Endpoint,
    contents: Mapping[str, str],
) -> list[tuple[Job, PastRequest]]:
    """Return each job that was paid for with its request; all are of that endpoint.

    ``contents`` is the sha256 of the bytes behind an address, where it is known. Requests that
    failed are given out last.
    """
    waiting: dict[tuple[str, str, str], list[Job]] = defaultdict(list)
    for job in reversed(jobs):
        spec = job.spec
        waiting[_rest(job, endpoint), plain_frame(spec.start), _identity(spec.end)].append(job)
    found: list[tuple[Job, PastRequest]] = []
    for request in sorted(requests, key=lambda each: (failed(each), each.sent_at)):
        asked = _input(request, endpoint)
        if asked is None:
            continue
        names = (_names(asked.start, contents), _names(asked.end, contents))
        for start, end in product(*names):
            same = waiting.get((asked.rest, start, end))
            if same:
                found.append((same.pop(), request))
                break
    return found


def is_like_ours(request: PastRequest, *, surely: bool) -> bool:
    """Tell whether this program may have sent it: no frame was uploaded by another.

    ``surely``: a frame has to tell so, and that it is somewhere else tells nothing.
    """
    files = _files(request)
    return all(map(_NAMED.search, files)) and (bool(files) or not surely)


def may_be_wanted(requests: Iterable[PastRequest], frames: Collection[Frame]) -> list[PastRequest]:
    """Return those whose frames may be among these, as far as the names of our uploads tell."""
    addresses = {frame.source for frame in frames if frame.sha256 is None}
    names = {frame.sha256[:16] for frame in frames if frame.sha256 is not None}

    def may_be(url: str) -> bool:
        named = _NAMED.search(url)
        return named is None or named[1] in names or url in addresses

    return [request for request in requests if all(map(may_be, _files(request)))]


def _files(request: PastRequest) -> list[str]:
    """Return the addresses of files at fal that a request names."""
    inputs = request.input.values() if isinstance(request.input, Mapping) else ()
    return [each for each in inputs if isinstance(each, str) and serves_files(each)]


def _input(request: PastRequest, endpoint: Endpoint) -> _Input | None:
    """Return what a request asked for; None where fal does not show it, or it is odd."""
    asked = request.input
    if not isinstance(asked, Mapping):
        return None
    frames = {endpoint.start_field, endpoint.end_field}
    rest = {name: value for name, value in asked.items() if name not in frames}
    start, end = asked.get(endpoint.start_field), asked.get(endpoint.end_field, NO_FRAME)
    if not isinstance(start, str) or not isinstance(end, str):
        return None
    return _Input(canonical_json(rest), start, end)


def _rest(job: Job, endpoint: Endpoint) -> str:
    return canonical_json({"prompt": job.spec.prompt, **endpoint.values(job.spec.parameters)})


def _identity(frame: Frame | None) -> str:
    return NO_FRAME if frame is None else plain_frame(frame)


def _names(url: str, contents: Mapping[str, str]) -> list[str]:
    """Return the identities that a frame at this address may have in a job."""
    sha256 = contents.get(url)
    plain = unsigned(url)
    return [plain] if sha256 is None else [plain, Frame(source=url, sha256=sha256).identity]


def failed(request: PastRequest) -> bool:
    """Tell whether a request ended without a clip."""
    return request.http_status is not None and request.http_status >= HTTPStatus.BAD_REQUEST
