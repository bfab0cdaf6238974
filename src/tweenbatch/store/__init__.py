"""The job table: the only room that knows SQL, SQLAlchemy and Alembic.

Importing the package costs nothing; ``Store`` brings SQLAlchemy with it.
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
