"""The job table, in SQLite or PostgreSQL; the only package that uses SQL.

It does not know fal, manifests' files or how a run works. Importing this package is cheap; only
``Store`` imports SQLAlchemy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tweenbatch.store.lock import RunnerLock
    from tweenbatch.store.store import Store

__all__ = ["RunnerLock", "Store"]


def __getattr__(name: str) -> Any:
    if name == "Store":
        from tweenbatch.store.store import Store

        return Store
    if name == "RunnerLock":
        from tweenbatch.store.lock import RunnerLock

        return RunnerLock
    raise AttributeError(name)
