"""The servers under test as a process, and what it reports."""

from __future__ import annotations

import json
import queue
import sys
import time
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tests.rules.clients import WebSocketClient, target
from tests.support.raw import TIMEOUT, exchange, request
from tests.support.servers import APPS, DEFECTS, ROOT, ServerError, ServerProcess

Host: TypeAlias = Literal["fast", "uvicorn", "pure"]
"""`fast` is what `io.listen` serves; `uvicorn` is its own HTTP and WebSocket, telex behind ASGI.
`pure` is `fast` without the compiled part of telex.
"""
HOSTS: tuple[Host, ...] = ("fast", "uvicorn")

_HANDSHAKE = request("GET", target("polling"))

ServerSet: TypeAlias = Literal["rules", "limits"]
Report: TypeAlias = dict[str, Any]


class Subject(ServerProcess):
    """`tests/apps/rules.py` as a process."""

    def __init__(self, host: Host, servers: ServerSet = "rules") -> None:
        self.host: Host = host
        self._reports: list[Report] = []
        self._log_read = 0
        kind = "fast" if host == "pure" else host
        command = [sys.executable, "-X", "dev", str(APPS / "rules.py"), "--host-kind", kind]
        super().__init__(
            [*command, "--servers", servers],
            env={
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
                "TELEX_PURE": str(int(host == "pure")),
            },
        )
        self._ports: dict[str, int] = self.wait("ports")["ports"]

    def port_of(self, server: str = "main") -> int:
        """The port of one of the servers."""
        return self._ports[server]

    # -- what the application has seen --------------------------------------------------------

    def wait(self, what: str, **fields: object) -> Report:
        """The first report of this kind with these fields, when it has come."""
        read = 0
        while True:
            for report in self._reports[read:]:
                if _matches(report, what, fields):
                    return report
            read = len(self._reports)
            try:
                line = self._lines.get(timeout=TIMEOUT)
            except queue.Empty:
                reports = "\n".join(map(str, self._reports[-20:]))
                raise ServerError(
                    f"no report {what!r} with {fields}; the last ones were\n{reports}"
                ) from None
            if line is None:
                raise ServerError(self._failure("ended"))
            self._reports.append(json.loads(line))

    def seen(self, what: str, **fields: object) -> list[Report]:
        """The reports of this kind with these fields that have come so far.

        Reports come in order: whatever was reported before a session that is opened now has come
        when this one's report has.
        """
        marker = json.loads(exchange(self._ports["main"], _HANDSHAKE).text[1:])["sid"]
        self._reports.remove(self.wait("open", sid=marker))
        return [report for report in self._reports if _matches(report, what, fields)]

    def reason(self, sid: str) -> str:
        """Why a session ended, when it has ended; it must do so once."""
        reason: str = self.wait("closed", sid=sid)["reason"]
        assert len(self.seen("closed", sid=sid)) == 1
        return reason

    def farewell(self, sid: str) -> str:
        """The reason that the `disconnect` handler of the session's socket in `/` was told."""
        reason: str = self.wait("disconnect", sid=sid, nsp="/")["reason"]
        assert len(self.seen("disconnect", sid=sid, nsp="/")) == 1
        return reason

    def settled(self, descriptors: int) -> bool:
        """Whether there are no more open files than before, soon."""
        deadline = time.monotonic() + TIMEOUT
        while self.descriptors() > descriptors and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.descriptors() <= descriptors

    def descriptors(self) -> int:
        """How many files and connections the process has open, where the system tells it."""
        folder = Path(f"/proc/{self.pid}/fd")
        return len(list(folder.iterdir())) if folder.is_dir() else 0

    # -- after every row ------------------------------------------------------------------------

    def new_log(self) -> list[str]:
        """The lines of the log since the last call."""
        log = self.log()
        lines, self._log_read = log[self._log_read :].splitlines(), len(log)
        # Debug mode also tells how long something took, which depends on the machine.
        return [line for line in lines if " asyncio Executing <" not in line]

    def unharmed(self, *, server: str = "main") -> list[str]:
        """Check that a server serves others as if nothing had happened; what it has logged.

        The process is still the same one: it never starts again by itself.
        """
        with WebSocketClient(self.port_of(server)) as honest:
            honest.connect()
            honest.send('42["echo","are you well?"]')
            assert honest.message() == '42["echo","are you well?"]'
            honest.websocket.close()
        # Reports come in order: behind this one there is nothing of what came before.
        assert self.reason(honest.sid) == "transport close"
        assert self.running
        lines = self.new_log()
        assert not any(sign in line for sign in DEFECTS for line in lines), "\n".join(lines)
        # Session ids are credentials: they have no place in a log.
        known = {report["sid"] for report in self._reports if "sid" in report}
        assert not any(sid in line for sid in known for line in lines), "\n".join(lines)
        self.forget()
        return lines

    def forget(self) -> None:
        """Nobody asks about earlier sessions again."""
        self._reports.clear()


def _matches(report: Report, what: str, fields: dict[str, object]) -> bool:
    return report["what"] == what and all(report.get(k) == v for k, v in fields.items())
