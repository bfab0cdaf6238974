"""What people see of the table: counts, money, jobs that need a person, the export.

Every method is one whole transaction.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from sqlalchemy import Connection

from tweenbatch.records import (
    ClipDuration,
    EarlierFailures,
    ExportRow,
    Job,
    JobHistory,
    JobNeedingAttention,
    KeptClip,
    Money,
    PendingGroup,
    Selection,
)
from tweenbatch.states import State
from tweenbatch.store import reading
from tweenbatch.store.part import TablePart
from tweenbatch.store.staging import chunks
from tweenbatch.store.statements import views, work

PAGE = 1_000
"""How many rows of the export are read together: no more than a core's cache holds."""

PACE_CLIPS = 200
"""How many of the latest clips tell how long the next ones will take."""


class Views(TablePart):
    """What people see of the table: counts, money, jobs that need a person, the export."""

    def counts(self, manifests: Collection[int] | None = None) -> dict[State, int]:
        """Return how many jobs are in each state, zeros included."""
        query = views.state_counts(manifests)

        def count(connection: Connection) -> dict[State, int]:
            return {row.state: row.jobs for row in connection.execute(query)}

        return dict.fromkeys(State, 0) | self._database.read(count)

    def money(self) -> Money:
        """Return where the money of the whole table stands."""
        query = views.money_by_fate()
        return reading.money_of(self._all(query))

    def kept_clips(self, jobs: Collection[int] | None = None) -> Iterator[KeptClip]:
        """Yield the clips of jobs that succeeded, or of these: the latest first, page by page."""
        if jobs is not None:
            for chunk in chunks(jobs):
                query = views.kept_clips().where(views.of_jobs(chunk))
                yield from (KeptClip(*each) for each in self._all(query))
            return
        before = None
        while page := self._all(views.latest_kept_clips(before=before, limit=PAGE)):
            yield from (KeptClip(*each[:-1]) for each in page)
            before = page[-1].number

    def pending(self, manifests: Collection[int] | None = None) -> list[PendingGroup]:
        """Return what waits to be submitted, jobs alike together."""
        return [reading.pending_group_of(row) for row in self._all(views.unpaid(manifests))]

    def attention(self) -> list[JobNeedingAttention]:
        """Return the jobs that a person should look at.

        They are failed, uncertain, or paid for and can't be had for now.
        """
        query = views.needing_a_person()
        return [reading.record_of(JobNeedingAttention, row) for row in self._all(query)]

    def selected(self, selection: Selection) -> list[JobNeedingAttention]:
        """Return the jobs that are meant."""
        query = views.selected(selection)
        return [reading.record_of(JobNeedingAttention, row) for row in self._all(query)]

    def to_try_again(self, manifests: Iterable[Path], which: EarlierFailures) -> list[Job]:
        """Return the failed jobs of these files that are meant."""

        def look(connection: Connection) -> list[Job]:
            ids = connection.execute(views.failed_before(paths, which)).scalars().all()
            return [
                reading.job_of(row)
                for chunk in chunks(ids)
                for row in connection.execute(work.jobs_with_attempt(), {"job_ids": chunk})
            ]

        paths = [str(path.absolute()) for path in manifests]
        return self._database.read(look)

    def history(self, job: int | str) -> JobHistory | None:
        """Return all that is known of the job with this number or this clip's name, if any."""

        def tell(connection: Connection) -> JobHistory | None:
            found = (
                connection.execute(views.with_output_name(job)).scalar()
                if isinstance(job, str)
                else job
            )
            known = connection.execute(work.jobs_with_attempt(), {"job_ids": [found]}).first()
            if known is None:
                return None
            asking = connection.execute(views.asking_rows(known.id)).all()
            return reading.job_history_of(
                known, asking, connection.execute(views.attempts_of(known.id))
            )

        return self._database.read(tell)

    def export(self) -> Iterator[ExportRow]:
        """Yield every manifest row with what became of it, by manifest path and position.

        It reads page by page: a reader that takes its time never keeps a runner waiting.
        """
        for manifest_id in self._all(views.manifest_ids()):
            position = -1
            while page := self._all(*views.export_page(manifest_id.id, position, limit=PAGE)):
                yield from reading.export_rows_of(page)
                position = page[-1].position

    def extra_columns(self) -> list[str]:
        """Return the names that the ``extra`` of the export's rows may have.

        First those of the manifests, in their order, then those of the models' inputs.
        """
        names = [name for first in self._all(views.extra_of_first_rows()) for name in first.extra]
        asked = [json.loads(each.parameters) for each in self._all(views.different_parameters())]
        inputs = {name for each in asked for name in each} - {"duration"}
        return list(dict.fromkeys((*names, *sorted(inputs))))

    def latest_clips(self, *, limit: int = PACE_CLIPS) -> list[ClipDuration]:
        """Return how long the latest clips took."""
        return [reading.clip_duration_of(row) for row in self._all(views.latest_clips(limit=limit))]
