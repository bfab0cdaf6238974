"""The last line of defence: whatever is said to the log, no secret is written."""

import json
import logging
from pathlib import Path

import pytest

from tweenbatch import logs

ID, SECRET = "another-key-id", "another-key-secret"


@pytest.mark.parametrize("form", logs.Form)
def test_no_part_of_the_key_and_no_signature_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: logs.Form
) -> None:
    monkeypatch.setenv("FAL_KEY", f"{ID}:{SECRET}")
    log, file = logging.getLogger("tweenbatch.anywhere"), tmp_path / "run.log"
    with logs.written(form, file=file, level=None):
        log.info("sent %s to https://example.com/a.png?signed=abc now", f"Key {ID}:{SECRET}")
        try:
            int(SECRET)
        except ValueError:
            log.exception("it broke with %s", ID)
    text = file.read_text()
    assert "sent Key *** to https://example.com/a.png?… now" in text
    assert "base 10: '***'" in text
    for secret in (ID, SECRET, "signed="):
        assert secret not in text


def test_a_line_break_makes_no_second_line(tmp_path: Path) -> None:
    file = tmp_path / "run.log"
    with logs.written(logs.Form.TEXT, file=file, level=None):
        logging.getLogger("tweenbatch").info("one\ntwo \x1b[2J")
    (line,) = file.read_text().splitlines()
    assert line.endswith("one two  [2J")


def test_less_than_the_level_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "run.log"
    with logs.written(logs.Form.JSON, file=file, level="warning"):
        logging.getLogger("tweenbatch").info("little")
        logging.getLogger("tweenbatch").warning("much")
    assert [json.loads(line)["message"] for line in file.read_text().splitlines()] == ["much"]
