"""The tests' own servers: what cannot start, or went wrong unseen, fails loudly."""

from __future__ import annotations

import sys

import pytest

from tests.support.servers import ServerError, ServerProcess

LISTEN = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0));"
WAIT = "print('PORT 1', flush=True); signal.pause()"


def program(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_server_that_ends_shows_its_log() -> None:
    with pytest.raises(ServerError, match=r"(?s)ended with status 1.*no such thing"):
        ServerProcess(program("import sys; sys.exit('no such thing')"))


def test_a_server_that_does_not_listen_is_not_waited_for_long() -> None:
    with pytest.raises(ServerError, match=r"did not listen within 0\.2 s"):
        ServerProcess(program("import time; time.sleep(60)"), timeout=0.2)


def test_other_output_than_the_port_is_refused() -> None:
    with pytest.raises(ServerError, match=r"printed 'hello\\n' instead of"):
        ServerProcess(program("print('hello')"))


def test_a_defect_in_the_log_is_found_at_the_end() -> None:
    traceback = "print('Traceback (most recent call last)', file=sys.stderr);"
    server = ServerProcess(program(LISTEN + traceback + WAIT))
    with pytest.raises(ServerError, match="logged a defect"):
        server.stop()


def test_a_clean_server_stops() -> None:
    with ServerProcess(program(LISTEN + WAIT)) as server:
        assert server.port == 1
        assert server.running
    assert not server.running


def test_a_failing_test_shows_the_log_of_its_server() -> None:
    complaint = "print('what the server said', file=sys.stderr);"
    with pytest.raises(ValueError, match="of the test") as failure:
        with ServerProcess(program(LISTEN + complaint + WAIT)):
            raise ValueError("of the test")
    assert "what the server said" in failure.value.__notes__[0]
