from pathlib import Path

from tweenbatch.states import FINAL, TRANSITIONS, State

README = Path(__file__).parents[2] / "src" / "tweenbatch" / "README.md"


def diagram() -> str:
    """The state table as the README shows it."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PENDING}"]
    lines += [
        f"    {source} --> {target}: {event}" for (source, event), target in TRANSITIONS.items()
    ]
    lines += [f"    {state} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines)


def test_the_readme_shows_the_state_table_as_it_is() -> None:
    assert f"```mermaid\n{diagram()}\n```" in README.read_text(encoding="utf-8")
