"""Match fal's past requests to waiting jobs that an older, lost table had already paid for.

Pure functions. A request matches a job if everything in the job's key is equal: endpoint, prompt,
parameters and frames. Uploaded frames are compared by their bytes, wherever they lie; frame URLs
without their signature. Equal contents are interchangeable: each request goes to one job, and each
job gets one request.
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
"""The file name of our uploads: the beginning of their digest. fal chooses the folder."""

NO_FRAME = ""
"""Stands for a missing end frame."""


@dataclass(frozen=True, slots=True)
class _Input:
    """The input of a request: the frames' URLs, and everything else as one JSON text."""

    rest: str
    start: str
    end: str


def frames_to_see(
    jobs: Iterable[Job], requests: Iterable[PastRequest], endpoint: Endpoint
) -> set[str]:
    """Return the URLs whose bytes decide whether a request belongs to one of the jobs."""
    local: dict[str, list[bool]] = defaultdict(lambda: [False, False])
    for job in jobs:
        frames = local[_rest(job, endpoint)]
        frames[0] |= job.spec.start.sha256 is not None
        frames[1] |= job.spec.end is not None and job.spec.end.sha256 is not None
    urls: set[str] = set()
    for request in requests:
        parsed = _input(request, endpoint)
        if parsed is not None and parsed.rest in local:
            frame_urls = zip((parsed.start, parsed.end), local[parsed.rest], strict=True)
            urls |= {url for url, is_local in frame_urls if is_local and url != NO_FRAME}
    return urls


def recognise(
    jobs: Sequence[Job],
    requests: Iterable[PastRequest],
    endpoint: Endpoint,
    contents: Mapping[str, str],
) -> list[tuple[Job, PastRequest]]:
    """Return each paid job with its request; all belong to that endpoint.

    ``contents`` is the known sha256 of the bytes behind a URL. Failed requests are assigned last.
    """
    waiting: dict[tuple[str, str, str], list[Job]] = defaultdict(list)
    for job in reversed(jobs):
        spec = job.spec
        waiting[_rest(job, endpoint), plain_frame(spec.start), _identity(spec.end)].append(job)
    matches: list[tuple[Job, PastRequest]] = []
    for request in sorted(requests, key=lambda each: (failed(each), each.sent_at)):
        parsed = _input(request, endpoint)
        if parsed is None:
            continue
        frames = (_identities(parsed.start, contents), _identities(parsed.end, contents))
        for start, end in product(*frames):
            same = waiting.get((parsed.rest, start, end))
            if same:
                matches.append((same.pop(), request))
                break
    return matches


def is_like_ours(request: PastRequest, *, surely: bool) -> bool:
    """Tell whether tweenbatch may have sent the request: no frame was uploaded by another program.

    With ``surely``, at least one frame must be an upload of ours.
    """
    files = _files(request)
    return all(map(_NAMED.search, files)) and (bool(files) or not surely)


def may_be_wanted(requests: Iterable[PastRequest], frames: Collection[Frame]) -> list[PastRequest]:
    """Return the requests whose frames may be among these, judged by the names of our uploads."""
    urls = {frame.source for frame in frames if frame.sha256 is None}
    digests = {frame.sha256[:16] for frame in frames if frame.sha256 is not None}

    def may_match(url: str) -> bool:
        digest = named_digest(url)
        return digest is None or digest in digests or url in urls

    return [request for request in requests if all(map(may_match, _files(request)))]


def named_digest(url: str) -> str | None:
    """Return the beginning of the digest in the name of an upload of ours; None for other URLs."""
    named = _NAMED.search(url)
    return named and named[1]


def _files(request: PastRequest) -> list[str]:
    """Return the URLs of files at fal in a request's input."""
    inputs = request.input.values() if isinstance(request.input, Mapping) else ()
    return [each for each in inputs if isinstance(each, str) and serves_files(each)]


def _input(request: PastRequest, endpoint: Endpoint) -> _Input | None:
    """Return a request's input; None if fal does not show it or its frames aren't texts."""
    payload = request.input
    if not isinstance(payload, Mapping):
        return None
    frames = {endpoint.start_field, endpoint.end_field}
    rest = {name: value for name, value in payload.items() if name not in frames}
    start, end = payload.get(endpoint.start_field), payload.get(endpoint.end_field, NO_FRAME)
    if not isinstance(start, str) or not isinstance(end, str):
        return None
    return _Input(canonical_json(rest), start, end)


def _rest(job: Job, endpoint: Endpoint) -> str:
    return canonical_json({"prompt": job.spec.prompt, **endpoint.values(job.spec.parameters)})


def _identity(frame: Frame | None) -> str:
    return NO_FRAME if frame is None else plain_frame(frame)


def _identities(url: str, contents: Mapping[str, str]) -> list[str]:
    """Return the identities that a frame at this URL may have in a job."""
    sha256 = contents.get(url)
    plain = unsigned(url)
    return [plain] if sha256 is None else [plain, Frame(source=url, sha256=sha256).identity]


def failed(request: PastRequest) -> bool:
    """Tell whether a request ended without a clip."""
    return request.http_status is not None and request.http_status >= HTTPStatus.BAD_REQUEST
