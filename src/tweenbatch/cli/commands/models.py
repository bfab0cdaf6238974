"""``tweenbatch models``: list the models, show one, or read its schema and price from fal."""

import asyncio
import json
import os
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import click

from tweenbatch.errors import FalError, UsageError
from tweenbatch.fal import Fal
from tweenbatch.models import DEFAULT, ENDPOINTS, Price, Unit, find
from tweenbatch.models import update as learning
from tweenbatch.printable import printable_line
from tweenbatch.report import models as report

CONNECT_TO = "TWEENBATCH_CONNECT_TO"

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(
    "models", invoke_without_command=True, short_help="List the models, show one or update it."
)
@as_json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """List the models that make a clip from a first and a last frame."""
    if context.invoked_subcommand is not None:
        return
    if as_json:
        click.echo(json.dumps([report.shape(each) for each in ENDPOINTS.values()]))
        return
    _say(report.table(ENDPOINTS.values(), DEFAULT))


@command.command(short_help="Show everything about a model.")
@click.argument("endpoint")
@as_json_option
def show(*, endpoint: str, as_json: bool) -> None:
    """Show the columns, limits, price and pages of ENDPOINT, a fal endpoint or a short name."""
    found = find(endpoint)
    if as_json:
        click.echo(json.dumps(report.shape(found)))
        return
    _say(report.lines(found))


@command.command(short_help="Read models from fal and store them.")
@click.argument("endpoints", nargs=-1, required=True, metavar="ENDPOINT...")
@click.option("--start-field", metavar="FIELD", help="The input for the start frame.")
@click.option("--end-field", metavar="FIELD", help="The input for the end frame.")
@click.option("--price-per-second", metavar="USD", help="What a second of video costs.")
@click.option("--price-per-clip", metavar="USD", help="What a clip costs, however long.")
def update(
    *, endpoints: tuple[str, ...], price_per_second: str, price_per_clip: str, **fields: Any
) -> None:
    """Read the schema of each ENDPOINT from fal.ai, and its price if a key is set.

    From then on, manifests are checked against this schema. An endpoint that is not in the list is
    added if it takes two frames.
    """
    if price_per_second and price_per_clip:
        raise UsageError("--price-per-second and --price-per-clip exclude each other; remove one")
    price = _price(price_per_second, Unit.SECOND, "--price-per-second") or _price(
        price_per_clip, Unit.CLIP, "--price-per-clip"
    )
    connect_to = os.environ.get(CONNECT_TO)
    for name in endpoints:
        update_request = learning.UpdateRequest(price=price, **fields)
        update_model = learning.learn(
            _full(name),
            update_request,
            connect=partial(Fal.connect, connect_to=connect_to),
            connect_to=connect_to,
        )
        try:
            learned = asyncio.run(update_model)
        except FalError as error:
            raise UsageError(f"{name}: {error}; try again. Nothing was changed") from error
        _say(report.lines(learned.endpoint))
        for notice in learned.notices:
            click.echo(printable_line(f"  {notice}"), err=True)
        click.echo(printable_line(f"Stored in {learned.file}."), err=True)


def _full(name: str) -> str:
    """Return the fal endpoint of a short name; a name with a slash is taken as an endpoint."""
    return name if "/" in name else find(name).id


def _price(text: str | None, unit: Unit, option: str) -> Price | None:
    if not text:
        return None
    try:
        usd = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        usd = Decimal(0)
    if not usd.is_finite() or usd <= 0:
        raise UsageError(
            f"{option} {text!r}: expected a positive amount in US dollars such as 0.14"
        )
    return Price(unit=unit, usd=usd)


def _say(lines: list[str]) -> None:
    for line in lines:
        click.echo(printable_line(line))
