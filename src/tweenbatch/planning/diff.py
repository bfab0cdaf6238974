"""Match the rows of a manifest with those of its last import, and describe the changes.

Rows are matched by common traits, the most reliable first, so that moved, inserted or renamed rows
do not count as edited. It does not know the table or prices. There may be a million rows: every
step except one is a dictionary lookup, and that one is bounded.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tweenbatch.paths import FITTED
from tweenbatch.records import EarlierRow, Frame, JobSpec
from tweenbatch.records.manifest import Row
from tweenbatch.records.plain import plain_frame, plain_prompt
from tweenbatch.records.signatures import unsigned

SIMILAR = 0.5
"""Two prompts count as edits of each other if they share at least this part of their words."""

MOST_COMPARISONS = 50_000
"""Limit of prompt comparisons; rows left after that are matched by number."""

LONGEST_NAME = 48
"""Messages show this many characters from the end of a frame's path or URL."""


class _AnyRow(Protocol):
    """The common fields of a row and an earlier row."""

    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def spec(self) -> JobSpec: ...
    @property
    def start_image(self) -> str: ...
    @property
    def end_image(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """A row that is not matched yet; ``index`` is its index among the rows of its import."""

    row: _AnyRow
    index: int

    @property
    def key(self) -> str:
        """The key of its content."""
        return self.row.key


Trait = Callable[[_Open], Hashable | None]
"""A trait by which rows are matched; None if the row lacks it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """The earlier row of each row, if any, and the earlier rows without a match."""

    was: Sequence[EarlierRow | None]
    left: Sequence[EarlierRow]


def match(earlier: Sequence[EarlierRow], rows: Sequence[Row]) -> Matched:
    """Find the earlier row of each row."""
    was: list[EarlierRow | None] = [None] * len(rows)
    now = [_Open(row=row, index=index) for index, row in enumerate(rows)]
    before = [_Open(row=old, index=index) for index, old in enumerate(earlier)]
    for step in _UNCHANGED:
        now, before = _match_step(step, now, before, was, earlier)
    # A repeated content was not edited from another row; it must not use up a match.
    explained = {old.key for old in earlier}
    fresh = {each.key: each for each in reversed(now) if each.key not in explained}
    now = list(reversed(fresh.values()))
    for step in _EDITED:
        now, before = _match_step(step, now, before, was, earlier)
    return Matched(was=was, left=[earlier[each.index] for each in before])


def _match_step(
    step: "_Step",
    now: list[_Open],
    before: list[_Open],
    was: list[EarlierRow | None],
    earlier: Sequence[EarlierRow],
) -> tuple[list[_Open], list[_Open]]:
    """Record the matches of one step in ``was``; return the unmatched rows of both sides."""
    if not now or not before:
        return now, before
    pairs = {new.index: old.index for new, old in step(now, before)}
    for index, old_index in pairs.items():
        was[index] = earlier[old_index]
    matched = set(pairs.values())
    return (
        [each for each in now if each.index not in pairs],
        [each for each in before if each.index not in matched],
    )


def reasons(old: EarlierRow, row: Row) -> tuple[str, ...]:
    """Describe how the content of a row differs from its last import."""
    return tuple(_reasons(old, row))


def _reasons(old: EarlierRow, row: Row) -> Iterator[str]:
    before, now = old.spec, row.spec
    if before.endpoint != now.endpoint:
        yield f"endpoint {before.endpoint} → {now.endpoint}"
    if plain_prompt(before.prompt) != plain_prompt(now.prompt):
        yield "prompt changed"
    if reason := _frame_reason(before.start, old.start_image, now.start, row.start_image):
        yield f"start {reason}"
    if reason := _frame_reason(before.end, old.end_image, now.end, row.end_image):
        yield f"end {reason}"
    for name in sorted({*before.parameters, *now.parameters}):
        was, is_now = before.parameters.get(name), now.parameters.get(name)
        if was is None:
            yield f"{name} {is_now} is new"
        elif is_now is None:
            yield f"{name} {was} was removed"
        elif was != is_now:
            yield f"{name} {was} → {is_now}"


def _frame_reason(
    before: Frame | None, was_written: str, now: Frame | None, written: str
) -> str | None:
    if before is None or now is None:
        if before is now:
            return None
        return f"frame {_end(written)} is new" if now else f"frame {_end(was_written)} was removed"
    if plain_frame(before) == plain_frame(now):
        return None
    if was_written == written:
        return _other_bytes(before, now, written)
    return f"frame changed ({_end(unsigned(was_written))} → {_end(unsigned(written))})"


def _other_bytes(before: Frame, now: Frame, written: str) -> str:
    was_fitted, is_fitted = _is_fitted(before), _is_fitted(now)
    if was_fitted and not is_fitted:
        return f"frame was fitted before and is not fitted now ({_end(written)}); add --fit"
    if is_fitted and not was_fitted:
        return f"frame is fitted now ({_end(written)})"
    return f"frame's bytes changed ({_end(written)})"


def _is_fitted(frame: Frame) -> bool:
    """Return whether the frame is a fitted copy."""
    return Path(frame.source).parent.name == FITTED


def _end(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"…{text[-LONGEST_NAME:]}"


Pairs = Iterator[tuple[_Open, _Open]]
_Step = Callable[[Iterable[_Open], Iterable[_Open]], Pairs]


def _sharing(trait: Trait) -> _Step:
    """Pair rows that share a trait; several are paired in their order."""

    def pair(now: Iterable[_Open], before: Iterable[_Open]) -> Pairs:
        waiting: dict[Hashable, deque[_Open]] = defaultdict(deque)
        for old in before:
            if (shared := trait(old)) is not None:
                waiting[shared].append(old)
        for new in now:
            shared = trait(new)
            if shared is not None and waiting.get(shared):
                yield new, waiting[shared].popleft()

    return pair


def _similar(trait: Trait) -> _Step:
    """Pair rows that share a trait and have similar prompts, the most similar first."""

    def pair(now: Iterable[_Open], before: Iterable[_Open]) -> Pairs:
        left = MOST_COMPARISONS
        waiting, arrived = _grouped(before, trait), _grouped(now, trait)
        for shared, new_ones in arrived.items():
            old_ones = waiting.get(shared, [])
            left_after = left - len(new_ones) * len(old_ones)
            if left_after < 0:
                continue
            left = left_after
            yield from _most_similar(new_ones, old_ones)

    return pair


def _grouped(items: Iterable[_Open], trait: Trait) -> dict[Hashable, list[_Open]]:
    groups: dict[Hashable, list[_Open]] = defaultdict(list)
    for item in items:
        groups[trait(item)].append(item)
    return groups


def _most_similar(now: Sequence[_Open], before: Sequence[_Open]) -> Pairs:
    new_words = [_words(each) for each in now]
    old_words = [_words(each) for each in before]
    scored = [
        (-_similarity(ours, theirs), mine, other)
        for mine, ours in enumerate(new_words)
        for other, theirs in enumerate(old_words)
    ]
    paired_new, paired_old = set(), set()
    for negative, mine, other in sorted(scored):
        if -negative < SIMILAR:
            return
        if mine not in paired_new and other not in paired_old:
            paired_new.add(mine)
            paired_old.add(other)
            yield now[mine], before[other]


def _words(item: _Open) -> frozenset[str]:
    return frozenset(item.row.spec.prompt.casefold().split())


def _similarity(ours: frozenset[str], theirs: frozenset[str]) -> float:
    """Return the similarity of two sets of words: Dice's coefficient."""
    return 2 * len(ours & theirs) / ((len(ours) + len(theirs)) or 1)


def _frames(item: _Open) -> tuple[str, str | None, int]:
    spec = item.row.spec
    return plain_frame(spec.start), plain_frame(spec.end) if spec.end else None, spec.take


def _written(item: _Open) -> tuple[str, str, int]:
    return unsigned(item.row.start_image), unsigned(item.row.end_image), item.row.spec.take


def _start(item: _Open) -> tuple[str, str, int]:
    spec = item.row.spec
    return plain_frame(spec.start), spec.prompt, spec.take


def _finish(item: _Open) -> tuple[str, str, int] | None:
    spec = item.row.spec
    return (plain_frame(spec.end), spec.prompt, spec.take) if spec.end else None


def _name(item: _Open) -> tuple[str, int] | None:
    return (item.row.name, item.row.spec.take) if item.row.name else None


def _number(item: _Open) -> tuple[int, int] | None:
    # Rows with names are matched by name only.
    return None if item.row.name else (item.row.number, item.row.spec.take)


_UNCHANGED = (
    _sharing(lambda item: (item.key, item.row.number, item.row.name)),
    _sharing(lambda item: item.key),
)
_EDITED = (
    _sharing(_name),
    _sharing(lambda item: (_frames(item), item.row.spec.prompt)),
    _sharing(lambda item: (_written(item), item.row.spec.prompt)),
    _similar(_frames),
    _similar(_written),
    _sharing(_start),
    _sharing(_finish),
    _sharing(_number),
)
"""The steps of matching, the most reliable first."""
