"""Which row of a manifest was which row of its last import, and what of it is another now.

Rows are matched by what they have in common, the surest sign first, so that rows that were moved,
inserted or renamed are not taken for edited ones. It knows rows and nothing of the table, of
prices or of what becomes of a row; every step but one is a look into a dictionary, and that one
is bounded, for there may be a million rows.
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
"""Of the words of two prompts, the part that they share when one is an edit of the other."""

MOST_COMPARISONS = 50_000
"""How many prompts are compared word by word; what is left after that is matched by place."""

LONGEST_NAME = 48
"""Of a frame's path or address so much is shown, from its end."""


class _Asked(Protocol):
    """What a row and an earlier row have in common."""

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
    """A row without a counterpart so far; ``index`` is its place among the rows of its time."""

    asked: _Asked
    index: int

    @property
    def key(self) -> str:
        """What the row asks for."""
        return self.asked.key


Trait = Callable[[_Open], Hashable | None]
"""What two rows share if they are one and the same; None where a row has no such thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """For each row the earlier one that it was, if any, and the earlier rows that are left."""

    was: Sequence[EarlierRow | None]
    left: Sequence[EarlierRow]


def match(earlier: Sequence[EarlierRow], rows: Sequence[Row]) -> Matched:
    """Find for each row what it was in the last import."""
    was: list[EarlierRow | None] = [None] * len(rows)
    now = [_Open(asked=row, index=index) for index, row in enumerate(rows)]
    before = [_Open(asked=old, index=index) for index, old in enumerate(earlier)]
    for step in _UNCHANGED:
        now, before = _take(step, now, before, was, earlier)
    # What repeats a content was edited out of nothing: it would take the place of a row that was.
    explained = {old.key for old in earlier}
    fresh = {each.key: each for each in reversed(now) if each.key not in explained}
    now = list(reversed(fresh.values()))
    for step in _EDITED:
        now, before = _take(step, now, before, was, earlier)
    return Matched(was=was, left=[earlier[each.index] for each in before])


def _take(
    step: "_Step",
    now: list[_Open],
    before: list[_Open],
    was: list[EarlierRow | None],
    earlier: Sequence[EarlierRow],
) -> tuple[list[_Open], list[_Open]]:
    """Note the pairs of one step in ``was`` and return those that are left on both sides."""
    if not now or not before:
        return now, before
    pairs = {new.index: old.index for new, old in step(now, before)}
    for index, old_index in pairs.items():
        was[index] = earlier[old_index]
    taken = set(pairs.values())
    return (
        [each for each in now if each.index not in pairs],
        [each for each in before if each.index not in taken],
    )


def reasons(old: EarlierRow, row: Row) -> tuple[str, ...]:
    """Say in what the content of a row differs from what it asked for before."""
    return tuple(_reasons(old, row))


def _reasons(old: EarlierRow, row: Row) -> Iterator[str]:
    before, now = old.spec, row.spec
    if before.endpoint != now.endpoint:
        yield f"endpoint {before.endpoint} → {now.endpoint}"
    if plain_prompt(before.prompt) != plain_prompt(now.prompt):
        yield "prompt changed"
    if said := _frame_reason(before.start, old.start_image, now.start, row.start_image):
        yield f"start {said}"
    if said := _frame_reason(before.end, old.end_image, now.end, row.end_image):
        yield f"end {said}"
    for name in sorted({*before.parameters, *now.parameters}):
        was, is_now = before.parameters.get(name), now.parameters.get(name)
        if was is None:
            yield f"{name} {is_now} is new"
        elif is_now is None:
            yield f"{name} {was} is gone"
        elif was != is_now:
            yield f"{name} {was} → {is_now}"


def _frame_reason(
    before: Frame | None, was_written: str, now: Frame | None, written: str
) -> str | None:
    if before is None or now is None:
        if before is now:
            return None
        return f"frame {_end(written)} is new" if now else f"frame {_end(was_written)} is gone"
    if plain_frame(before) == plain_frame(now):
        return None
    if was_written == written:
        return _other_bytes(before, now, written)
    return f"frame is another ({_end(unsigned(was_written))} → {_end(unsigned(written))})"


def _other_bytes(before: Frame, now: Frame, written: str) -> str:
    was_fitted, is_fitted = _is_fitted(before), _is_fitted(now)
    if was_fitted and not is_fitted:
        return f"frame was fitted before, and is not now ({_end(written)}); add --fit"
    if is_fitted and not was_fitted:
        return f"frame is fitted now ({_end(written)})"
    return f"frame's bytes changed ({_end(written)})"


def _is_fitted(frame: Frame) -> bool:
    """Tell whether it is a prepared copy."""
    return Path(frame.source).parent.name == FITTED


def _end(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"…{text[-LONGEST_NAME:]}"


Pairs = Iterator[tuple[_Open, _Open]]
_Step = Callable[[Iterable[_Open], Iterable[_Open]], Pairs]


def _sharing(trait: Trait) -> _Step:
    """Pair rows that share a trait, in their order where several do."""

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


def _alike(trait: Trait) -> _Step:
    """Pair rows that share a trait and whose prompts are alike, the most alike first."""

    def pair(now: Iterable[_Open], before: Iterable[_Open]) -> Pairs:
        left = MOST_COMPARISONS
        waiting, arrived = _grouped(before, trait), _grouped(now, trait)
        for shared, new_ones in arrived.items():
            old_ones = waiting.get(shared, [])
            left_after = left - len(new_ones) * len(old_ones)
            if left_after < 0:
                continue
            left = left_after
            yield from _most_alike(new_ones, old_ones)

    return pair


def _grouped(items: Iterable[_Open], trait: Trait) -> dict[Hashable, list[_Open]]:
    groups: dict[Hashable, list[_Open]] = defaultdict(list)
    for item in items:
        groups[trait(item)].append(item)
    return groups


def _most_alike(now: Sequence[_Open], before: Sequence[_Open]) -> Pairs:
    new_words = [_words(each) for each in now]
    old_words = [_words(each) for each in before]
    scored = [
        (-_likeness(ours, theirs), mine, other)
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
    return frozenset(item.asked.spec.prompt.casefold().split())


def _likeness(ours: frozenset[str], theirs: frozenset[str]) -> float:
    """Return how much of two sets of words is in both: Dice's coefficient."""
    return 2 * len(ours & theirs) / ((len(ours) + len(theirs)) or 1)


def _frames(item: _Open) -> tuple[str, str | None, int]:
    spec = item.asked.spec
    return plain_frame(spec.start), plain_frame(spec.end) if spec.end else None, spec.take


def _written(item: _Open) -> tuple[str, str, int]:
    return unsigned(item.asked.start_image), unsigned(item.asked.end_image), item.asked.spec.take


def _start(item: _Open) -> tuple[str, str, int]:
    spec = item.asked.spec
    return plain_frame(spec.start), spec.prompt, spec.take


def _finish(item: _Open) -> tuple[str, str, int] | None:
    spec = item.asked.spec
    return (plain_frame(spec.end), spec.prompt, spec.take) if spec.end else None


def _name(item: _Open) -> tuple[str, int] | None:
    return (item.asked.name, item.asked.spec.take) if item.asked.name else None


def _place(item: _Open) -> tuple[int, int] | None:
    # Two names are two rows, wherever they stand.
    return None if item.asked.name else (item.asked.number, item.asked.spec.take)


_UNCHANGED = (
    _sharing(lambda item: (item.key, item.asked.number, item.asked.name)),
    _sharing(lambda item: item.key),
)
_EDITED = (
    _sharing(_name),
    _sharing(lambda item: (_frames(item), item.asked.spec.prompt)),
    _sharing(lambda item: (_written(item), item.asked.spec.prompt)),
    _alike(_frames),
    _alike(_written),
    _sharing(_start),
    _sharing(_finish),
    _sharing(_place),
)
"""The signs that a row is one of those before: the surest first."""
