"""What was read from fal of models, kept for the next time: one JSON file a model.

A file is whole or not there. One that can't be understood is said to be so, by name, before
anything is spent: what it held may have been a price.
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
    """Return what is remembered, by id; raise ``UsageError`` where a file is damaged."""
    return _read(models_folder())


def remember(endpoint: Endpoint) -> Path:
    """Keep an endpoint in place of what was kept of it; return the file."""
    folder = models_folder()
    path = folder / f"{quote(endpoint.id, safe='')}.json"
    text = json.dumps({"format": FORMAT, "endpoint": data_of(endpoint)}, indent=2)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic.write(path, f"{text}\n".encode(), mode=0o600)
    except OSError as error:
        raise UsageError(
            f"{path} can't be written ({error.strerror}); make room for it, or name another "
            "folder in TWEENBATCH_MODELS"
        ) from error
    _read.cache_clear()
    return path


@cache
def _read(folder: Path) -> Mapping[str, Endpoint]:
    try:
        paths = sorted(folder.glob("*.json"))
    except OSError:
        paths = []
    made = [_one(path) for path in paths]
    return MappingProxyType({endpoint.id: endpoint for endpoint in made})


def _one(path: Path) -> Endpoint:
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
        f"{path} is not what `tweenbatch models update` wrote ({wrong}); remove the file, and "
        "update the model again"
    )
