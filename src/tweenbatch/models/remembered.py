"""Store the models that ``tweenbatch models update`` read: one JSON file per model.

Files are written atomically. A damaged file is reported by name before anything is paid, because it
may have contained a price.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from tweenbatch.errors import UsageError
from tweenbatch.files import atomic
from tweenbatch.models.data import data_of, endpoint_of
from tweenbatch.models.endpoint import Endpoint
from tweenbatch.paths import models_folder

FORMAT = 1


def endpoints() -> Mapping[str, Endpoint]:
    """Return the stored endpoints by id; raise ``UsageError`` if a file is damaged."""
    return _read(models_folder())


def remember(endpoint: Endpoint) -> Path:
    """Store an endpoint, replacing the older version; return the file."""
    folder = models_folder()
    path = folder / f"{quote(endpoint.id, safe='')}.json"
    text = json.dumps({"format": FORMAT, "endpoint": data_of(endpoint)}, indent=2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(path, f"{text}\n".encode(), mode=0o600)
    except OSError as error:
        raise UsageError(
            f"{path} can't be written ({error.strerror}); free some space, make it writable, or "
            "name another folder in TWEENBATCH_MODELS"
        ) from error
    _read.cache_clear()
    return path


@cache
def _read(folder: Path) -> Mapping[str, Endpoint]:
    try:
        paths = sorted(folder.glob("*.json"))
    except OSError:
        paths = []
    stored = [_endpoint(path) for path in paths]
    return MappingProxyType({endpoint.id: endpoint for endpoint in stored})


def _endpoint(path: Path) -> Endpoint:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        endpoint = endpoint_of(data["endpoint"])
        wrong = "" if data["format"] == FORMAT else f"format {data['format']}"
        if quote(endpoint.id, safe="") != path.stem:
            wrong = f"it describes {endpoint.id}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if wrong:
        raise _damaged(path, wrong)
    return endpoint


def _damaged(path: Path, wrong: str) -> UsageError:
    return UsageError(
        f"{path} is damaged or was not written by `tweenbatch models update` ({wrong}); remove "
        "the file, and update the model again"
    )
