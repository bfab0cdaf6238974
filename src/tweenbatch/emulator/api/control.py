"""The emulator's own paths, which fal does not have: ledger, events, faults, releases."""

import json
from typing import Any

from aiohttp import web

from tweenbatch.emulator.api.exchange import json_answer, send
from tweenbatch.emulator.faults.parsing import BadFault, parse
from tweenbatch.emulator.site import Site
from tweenbatch.emulator.state.statement import statement

_RESERVED = frozenset({"event", "count", "since", "timeout"})


class ControlApi:
    """Handlers of the emulator's own paths."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, at the root."""
        return [
            web.get("/ledger", self.ledger),
            web.get("/events", self.events),
            web.get("/faults", self.faults),
            web.post("/faults", self.set_faults),
            web.delete("/faults", self.clear_faults),
            web.post("/release", self.release),
        ]

    async def ledger(self, request: web.Request) -> web.StreamResponse:
        """Return the whole ledger, or only its totals with ``?totals=1``."""
        totals_only = request.query.get("totals") == "1"
        return await _say(request, statement(self._site, totals_only=totals_only))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Return the events after ``since``, waiting up to ``timeout`` seconds for the first.

        With ``event``, ``count`` or any field of an event as a parameter: wait for ``count``
        matching events and return those; 408 if they do not happen in time.
        """
        query = request.query
        ledger = self._site.ledger
        try:
            since = int(query.get("since", 0))
            count = int(query.get("count", 1))
            timeout = float(query.get("timeout", 0))
        except ValueError as error:
            return await _say(request, {"detail": str(error)}, 400)
        match = {key: value for key, value in query.items() if key not in _RESERVED}
        filtered = bool(match) or "event" in query or "count" in query
        try:
            events = await ledger.wait_for(
                query.get("event", ""), count=count, since=since, timeout=timeout, match=match
            )
        except TimeoutError as error:
            if filtered:
                return await _say(request, {"detail": str(error)}, 408)
            events = []
        if not filtered:
            events = list(ledger.since(since))
        return await _say(request, {"events": events, "last": ledger.last})

    async def faults(self, request: web.Request) -> web.StreamResponse:
        """Return the script with the counts of each fault."""
        return await _say(request, {"faults": self._site.script.shown()})

    async def set_faults(self, request: web.Request) -> web.StreamResponse:
        """Replace the script, or append to it with ``?add=1``."""
        try:
            faults = parse(json.loads(await request.read()))
        except BadFault as error:
            return await _say(request, {"detail": error.problems}, 400)
        except ValueError as error:
            return await _say(request, {"detail": f"not JSON: {error}"}, 400)
        script = self._site.script
        ids = script.add(faults) if request.query.get("add") == "1" else script.set(faults)
        return await _say(request, {"ids": ids})

    async def clear_faults(self, request: web.Request) -> web.StreamResponse:
        """Remove all faults, or the one named in ``?id=``."""
        cleared = self._site.script.clear(request.query.get("id"))
        return await _say(request, {"cleared": cleared})

    async def release(self, request: web.Request) -> web.StreamResponse:
        """Release the held calls of ``{"name": fault or point}``, or all without a name."""
        body = await request.read()
        try:
            name = json.loads(body or b"{}").get("name")
        except (ValueError, AttributeError):
            return await _say(request, {"detail": 'expected {"name": "…"} or nothing'}, 400)
        return await _say(request, {"released": self._site.script.release(name)})


async def _say(request: web.Request, data: dict[str, Any], status: int = 200) -> web.StreamResponse:
    return (await send(request, json_answer(data, status))).response
