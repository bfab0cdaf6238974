"""Parse a fault script: JSON objects become faults, or a list of all problems."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from tweenbatch.emulator.faults.vocabulary import Fault

_FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="do")])


class BadFault(ValueError):
    """A fault script does not follow the vocabulary; ``problems`` names each field."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        self.problems = problems
        super().__init__(
            "; ".join(f"fault {p['fault']}, {p['field']}: {p['message']}" for p in problems)
        )


def parse(script: object) -> list[Fault]:
    """Return the faults of a script, one object or a list of them.

    Raises:
        BadFault: naming every wrong field.
    """
    if not isinstance(script, list):
        script = [script]
    faults: list[Fault] = []
    problems: list[dict[str, Any]] = []
    for number, item in enumerate(script):
        try:
            faults.append(_FAULT.validate_python(item))
        except ValidationError as error:
            problems += [
                {
                    "fault": number,
                    "field": ".".join(str(part) for part in found["loc"][1:]) or "do",
                    "message": found["msg"].removeprefix("Value error, "),
                }
                for found in error.errors()
            ]
    if problems:
        raise BadFault(problems)
    return faults
