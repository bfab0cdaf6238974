"""Column names of a manifest, their aliases, and the columns that an endpoint reads."""

import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tweenbatch.errors import Problem
from tweenbatch.files.csv_injection import bare
from tweenbatch.models import ENDPOINTS, Endpoint
from tweenbatch.suggestions import similar

MEANINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prompt": ("text", "description"),
        "start_image": (
            *("start_image_url", "start_frame", "start_frame_url", "start_img", "start"),
            *("first_image", "first_image_url", "first_frame", "first_frame_url", "image_url"),
        ),
        "end_image": (
            *("end_image_url", "end_frame", "end_frame_url", "end_img", "end"),
            *("last_image", "last_image_url", "last_frame", "last_frame_url"),
            *("tail_image", "tail_image_url"),
        ),
        "name": ("title", "id", "filename", "file_name"),
        "model": ("endpoint", "endpoint_id", "model_id"),
    }
)
"""Aliases of each column, as used in files for other tools."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {alias: name for name, aliases in MEANINGS.items() for alias in aliases}
)
REQUIRED = ("prompt", "start_image", "end_image")
CARRIED = ("sequence", "order")
"""Optional columns that are checked, and carried through to the export like unknown ones."""
MODEL = "model"
OPTIONAL = ("name", "takes", "priority", "tags", MODEL, *CARRIED)

ALIKE = 0.87
"""Similarity from which a name counts as a misspelling: ``promt``, not ``start_time``."""

MOST_SHOWN = 30
"""Column names listed in a message."""

_OF_A_RESULTS_FILE = frozenset({"manifest", "row", "state", "request_id", "cost_usd"})


def _plain(name: object) -> str:
    return bare(str(name)).strip().lower()


def canonical(name: object, keep: Collection[str] = ()) -> str:
    """Return the standard name of a column; columns in ``keep`` keep their own."""
    text = _plain(name)
    return text if text in keep else ALIASES.get(text, text)


def duplicates(header: Sequence[object]) -> list[str]:
    """Return the column names that appear twice in a header."""
    names = Counter(_plain(name) for name in header)
    return sorted(name for name, count in names.items() if name and count > 1)


def some(names: Sequence[str]) -> str:
    """List names for a message: the first ones, and how many more there are."""
    more = len(names) - MOST_SHOWN
    return ", ".join(names[:MOST_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The columns of one file: as spelled there, and by their standard names."""

    spelled: tuple[str, ...]
    names: tuple[str, ...]
    keep: frozenset[str]
    """Columns that ``--keep`` carries through although they resemble a known one."""

    @classmethod
    def of(cls, header: Iterable[object], *, keep: Iterable[str] = ()) -> "Header":
        """Return the columns of a header row."""
        kept = frozenset(map(_plain, keep))
        spelled = tuple(bare(str(name)) for name in header)
        return cls(
            spelled=spelled, names=tuple(canonical(name, kept) for name in spelled), keep=kept
        )

    @property
    def mapped(self) -> dict[str, str]:
        """Aliases used in this file, with their standard names."""
        pairs = zip(self.spelled, self.names, strict=True)
        return {spelled: name for spelled, name in pairs if name != _plain(spelled)}

    @property
    def is_of_results(self) -> bool:
        """Whether the file is an export of results, which holds prompts as they were sent."""
        return set(self.names) >= _OF_A_RESULTS_FILE

    def canonical(self, name: str) -> str:
        """Return the standard name of a column of this file."""
        return canonical(name, self.keep)

    def own(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Return the user's own columns; an export has none."""
        if self.is_of_results:
            return ()
        return tuple(spelled for name, spelled in self.carried(endpoint) if name not in CARRIED)

    def carried(self, endpoint: Endpoint) -> Iterator[tuple[str, str]]:
        """Yield name and spelling of the columns that are carried through to the export.

        If rows name their models, no input of any model is carried through.
        """
        for spelled, name in zip(self.spelled, self.names, strict=True):
            if name in CARRIED:
                yield name, name
            elif name in self.keep or name not in self._known(endpoint):
                yield name, spelled

    def gaps(self, *, defaults: Collection[str] = ()) -> list[Problem]:
        """Return the problems that prevent reading rows; ``--set`` gives ``defaults`` a value."""
        missing = [
            Problem(
                message=f"this column is missing; the header has {some(self.spelled)}",
                column=name,
            )
            for name in REQUIRED
            if name not in self.names and name not in defaults
        ]
        return [*missing, *self._meant_twice()]

    def strays(self, endpoint: Endpoint, *, defaults: Collection[str] = ()) -> Iterator[Problem]:
        """Yield the columns that are probably mistakes; rows can be read all the same."""
        for name in dict.fromkeys((*self.names, *defaults)):
            message = None
            if name in self.keep:
                if name in self._known(endpoint):
                    message = f"this column has a meaning here; remove --keep {shlex.quote(name)}"
            elif MODEL not in self.names and (reason := ignored([name], endpoint).get(name)):
                message = f"{reason}; remove the column, or carry it through with --keep {name}"
            elif meant := self._meant(name, endpoint):
                message = (
                    f"there is no such column; rename it if you mean '{meant}', or carry it "
                    f"through with --keep {shlex.quote(name)}"
                )
            if message is not None:
                yield Problem(message=message, column=name)

    def _meant_twice(self) -> Iterator[Problem]:
        spellings: dict[str, list[str]] = {}
        for spelled, name in zip(self.spelled, self.names, strict=True):
            spellings.setdefault(name, []).append(spelled)
        for name, twins in sorted(spellings.items()):
            if len(twins) == 1:
                continue
            other = next((twin for twin in twins if _plain(twin) != name), name)
            yield Problem(
                message=f"{' and '.join(map(repr, twins))} mean the same column; remove one, or "
                f"carry it through unread with --keep {shlex.quote(_plain(other))}",
                column=name,
            )

    def _known(self, endpoint: Endpoint) -> tuple[str, ...]:
        inputs: Iterable[str] = endpoint.parameters
        if MODEL in self.names:
            inputs = [name for each in ENDPOINTS.values() for name in each.parameters]
        return (*REQUIRED, *OPTIONAL, *inputs)

    def _meant(self, name: str, endpoint: Endpoint) -> str | None:
        """Return the known column of which this name is a misspelling."""
        known = self._known(endpoint)
        if self.is_of_results or name in known:
            return None
        offered = [*known, *ALIASES, *endpoint.not_offered]
        if name in offered:
            return None
        return next(iter(similar(name, offered, most=1, likeness=ALIKE)), None)


def ignored(names: Iterable[str], endpoint: Endpoint) -> dict[str, str]:
    """Return the columns that only other endpoints read, each with a message."""
    messages = {}
    for name in names:
        if name in endpoint.parameters or name in (*REQUIRED, *OPTIONAL):
            continue
        reason = endpoint.not_offered.get(name) or _known_elsewhere(name)
        if reason:
            messages[name] = f"{endpoint.title} would ignore it: {reason}"
    return messages


def _known_elsewhere(name: str) -> str:
    titles = [each.title for each in ENDPOINTS.values() if name in each.parameters]
    if titles:
        return f"only other models have it ({', '.join(titles)})"
    # An input that one endpoint does not offer is an input of another.
    if any(name in each.not_offered for each in ENDPOINTS.values()):
        return "it isn't a known input of this model"
    return ""
