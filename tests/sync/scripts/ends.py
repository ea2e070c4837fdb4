"""Programs that end while telex.sync is connected; the argument says how."""

from __future__ import annotations

import sys
import threading

import telex

url, how = sys.argv[1:]
assert threading.active_count() == 1, "importing telex starts a thread"
socket = telex.sync.connect(url)


@socket.on("disconnect")
def gone(reason: str) -> None:
    print(reason, flush=True)


def work() -> None:
    for _ in socket:
        pass


threading.Thread(target=work, daemon=True).start()
print(socket.id, flush=True)
if how == "when told":
    sys.stdin.readline()
elif how == "with an error":
    raise SystemExit(3)
