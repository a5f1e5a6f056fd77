"""What the servers' log says of a flood, and of what went wrong with a request."""

import asyncio
import logging

import pytest

from medicalgpt.network.log import LOG, Sparing, sparing
from medicalgpt.serve.api import server


def test_a_flood_of_warnings_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    with sparing(), caplog.at_level(logging.INFO):
        for number in range(1_000):
            LOG.warning("connection %d was refused", number)
            LOG.info("a request")
        LOG.warning("another kind")
    said = [record.getMessage() for record in caplog.records]
    assert len([text for text in said if text.startswith("connection")]) == 10
    assert said.count("a request") == 1_000
    assert said[-1] == "another kind"
    caplog.clear()
    LOG.warning("after it")
    assert len(caplog.records) == 1


def test_those_left_out_are_counted_in_the_next_minute(caplog: pytest.LogCaptureFixture) -> None:
    spare = Sparing(most=2, seconds=60)
    LOG.addFilter(spare)
    try:
        for number in range(7):
            if number == 6:  # a minute later
                spare._seen = {kind: (begin - 61, count) for kind, (begin, count) in spare._seen.items()}
            LOG.warning("number %d", number)
    finally:
        LOG.removeFilter(spare)
    assert [record.getMessage() for record in caplog.records] == [
        "number 0",
        "number 1",
        "number 6 (and 4 more of these before)",
    ]


def test_tracebacks_of_others_come_without_their_message(caplog: pytest.LogCaptureFixture) -> None:
    secret = "Bond"
    with sparing():
        try:
            raise KeyError(f"the patient's name is {secret}")
        except KeyError as error:
            logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=error)
            server._uncaught(asyncio.new_event_loop(), {"exception": error, "message": secret})
    assert caplog.text.count("a bug, please report it: KeyError") == 2
    assert "test_log.py" in caplog.text
    assert secret not in caplog.text


def test_no_more_open_files_is_said_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    server._uncaught(loop, {"exception": OSError(24, "Too many open files"), "socket": object()})
    server._uncaught(loop, {"message": "Bond"})
    loop.close()
    assert "Too many open files" in caplog.text
    assert "object" not in caplog.text
    assert "Bond" not in caplog.text
