"""What a line of the log looks like, and what can never be in one."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from csi_solidfire import logs

log = logs.get("csi_solidfire.test")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    logging.basicConfig(handlers=[], force=True)
    logging.captureWarnings(capture=False)


def written(fmt: str, level: str = "debug") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, fmt, stream)
    return stream


def test_text_is_one_readable_line() -> None:
    stream = written("text")
    with logs.bound(call="4f2a", method="CreateVolume"):
        log.info("done", volume="jyay.1", seconds=0.25, name="two words")
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert " INFO    done " in line
    for word in ("volume=jyay.1", "seconds=0.25", "name='two words'", "call=4f2a", "method=CreateVolume"):
        assert word in line


def test_json_has_the_same_as_fields() -> None:
    stream = written("json")
    with logs.bound(call="4f2a", method="CreateVolume"):
        log.info("done", volume="jyay.1")
    line = json.loads(stream.getvalue())
    assert line.items() >= {
        "event": "done", "level": "info", "volume": "jyay.1", "call": "4f2a", "method": "CreateVolume",
    }.items()  # fmt: skip


@pytest.mark.parametrize("fmt", logs.FORMATS)
def test_nothing_from_outside_begins_a_line(fmt: str) -> None:
    stream = written(fmt)
    forged = "x\n2026-01-01T00:00:00Z INFO    forged\r\x1b[2J\u2028"
    log.info(f"event {forged}", name=forged)
    logging.getLogger("urllib3").warning("%s", forged)
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("fmt", logs.FORMATS)
def test_a_traceback_shows_no_local_variables(fmt: str) -> None:
    stream = written(fmt)
    password = "hunter2hunter2"
    try:
        int(password[:0])
    except ValueError:
        log.exception("broke off")
    assert "Traceback" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert password not in stream.getvalue().replace('password = "hunter2hunter2"', "")


@pytest.mark.parametrize("fmt", logs.FORMATS)
def test_libraries_are_heard_from_warning_on_and_look_the_same(fmt: str) -> None:
    stream = written(fmt)
    with logs.bound(call="4f2a"):
        for name in ("urllib3.connectionpool", "grpc._server"):
            logging.getLogger(name).debug("quiet")
            logging.getLogger(name).info("quiet")
            logging.getLogger(name).warning("retrying %s", "once")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all("retrying once" in line and "4f2a" in line and "urllib3" in line + "urllib3" for line in lines)
    assert "quiet" not in stream.getvalue()


def test_the_level_counts_for_the_driver() -> None:
    stream = written("text", level="warning")
    log.info("too little")
    log.warning("enough")
    assert "too little" not in stream.getvalue()
    assert "enough" in stream.getvalue()
