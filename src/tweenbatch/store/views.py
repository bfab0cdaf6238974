"""Read the table for people: counts, money, jobs needing attention, the export.

Each method is one transaction.
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
"""Rows of the export per page: they fit into a core's cache."""

PACE_CLIPS = 200
"""Estimates use this many of the latest clips."""


class Views(TablePart):
    """Views of a table for people: counts, money, jobs needing attention, the export."""

    def counts(self, manifests: Collection[int] | None = None) -> dict[State, int]:
        """Return the number of jobs in each state, including zeros."""
        query = views.state_counts(manifests)

        def count(connection: Connection) -> dict[State, int]:
            return {row.state: row.jobs for row in connection.execute(query)}

        return dict.fromkeys(State, 0) | self._database.read(count)

    def money(self) -> Money:
        """Return the money of the whole table."""
        query = views.money_by_fate()
        return reading.money_of(self._all(query))

    def kept_clips(self, jobs: Collection[int] | None = None) -> Iterator[KeptClip]:
        """Yield the clips of successful jobs, or of these: the latest first, page by page."""
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
        """Return the waiting jobs, grouped by endpoint, parameters and price."""
        return [reading.pending_group_of(row) for row in self._all(views.unpaid(manifests))]

    def attention(self) -> list[JobNeedingAttention]:
        """Return the jobs that a person should check.

        They failed, are uncertain, or their paid clip can't be downloaded for now.
        """
        query = views.needing_a_person()
        return [reading.record_of(JobNeedingAttention, row) for row in self._all(query)]

    def selected(self, selection: Selection) -> list[JobNeedingAttention]:
        """Return the jobs that match all filters."""
        query = views.selected(selection)
        return [reading.record_of(JobNeedingAttention, row) for row in self._all(query)]

    def to_try_again(self, manifests: Iterable[Path], which: EarlierFailures) -> list[Job]:
        """Return the failed jobs of these files to retry."""

        def read(connection: Connection) -> list[Job]:
            ids = connection.execute(views.failed_before(paths, which)).scalars().all()
            return [
                reading.job_of(row)
                for chunk in chunks(ids)
                for row in connection.execute(work.jobs_with_attempt(), {"job_ids": chunk})
            ]

        paths = [str(path.absolute()) for path in manifests]
        return self._database.read(read)

    def history(self, job: int | str) -> JobHistory | None:
        """Return the history of the job with this number or clip name, if any."""

        def read(connection: Connection) -> JobHistory | None:
            job_id = (
                connection.execute(views.with_output_name(job)).scalar()
                if isinstance(job, str)
                else job
            )
            row = connection.execute(work.jobs_with_attempt(), {"job_ids": [job_id]}).first()
            if row is None:
                return None
            rows = connection.execute(views.asking_rows(row.id)).all()
            attempts = connection.execute(views.attempts_of(row.id))
            return reading.job_history_of(row, rows, attempts)

        return self._database.read(read)

    def export(self) -> Iterator[ExportRow]:
        """Yield every manifest row with its result, by manifest path and position.

        It reads page by page, so a slow reader never blocks a run.
        """
        for manifest_id in self._all(views.manifest_ids()):
            position = -1
            while page := self._all(*views.export_page(manifest_id.id, position, limit=PAGE)):
                yield from reading.export_rows_of(page)
                position = page[-1].position

    def extra_columns(self) -> list[str]:
        """Return the possible names in ``extra`` of the export.

        The columns of the manifests come first, in their order, then the models' inputs.
        """
        names = [name for first in self._all(views.extra_of_first_rows()) for name in first.extra]
        parameters = [
            json.loads(each.parameters) for each in self._all(views.different_parameters())
        ]
        inputs = {name for each in parameters for name in each} - {"duration"}
        return list(dict.fromkeys((*names, *sorted(inputs))))

    def latest_clips(self, *, limit: int = PACE_CLIPS) -> list[ClipDuration]:
        """Return the durations of the latest clips."""
        return [reading.clip_duration_of(row) for row in self._all(views.latest_clips(limit=limit))]
