"""Counting what a message costs: calls of Python functions, tasks, and their callbacks."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import telex

if TYPE_CHECKING:
    from collections.abc import Generator

EAGER = sys.version_info >= (3, 12)
"""Whether coroutines begin at once; on Python 3.11 they begin in the loop's next turn."""

STARTER = "loop/tasks.py"
"""The module that begins tasks for all others: the cause of a task is who asks it."""

PACKAGE = str(Path(telex.__file__).parent)


class Calls:
    """The calls of telex's own functions (generators and coroutines: every step), in order."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.tasks: list[str] = []
        self.callbacks: list[str] = []
        """Who has asked a task, or another future, to say when it is done."""

    def profile(self, frame: FrameType, event: str, called: object) -> None:
        code = frame.f_code
        if event == "c_call":
            if getattr(called, "__name__", "") == "add_done_callback":
                cause = self._cause(frame)
                if cause:
                    self.callbacks.append(cause)
            return
        if event != "call":
            return
        if code.co_filename.startswith(PACKAGE):
            file = code.co_filename.removeprefix(PACKAGE + "/")
            self.names.append(f"{file}:{code.co_qualname}")
            if (file, code.co_name) == (STARTER, "start"):
                self.tasks.append(self._cause(frame))  # an eager one does not pass create_task
        elif code.co_name == "create_task" and "asyncio" in code.co_filename:
            if frame.f_back is not None and frame.f_back.f_code.co_filename.endswith(STARTER):
                return  # counted above
            cause = self._cause(frame)
            if cause:
                self.tasks.append(cause)

    def _cause(self, frame: FrameType | None) -> str:
        """The function of ours that has led here, if there is one."""
        while frame is not None:
            code = frame.f_code
            if code.co_filename.startswith(PACKAGE) and not code.co_filename.endswith(STARTER):
                return code.co_qualname
            frame = frame.f_back
        return ""

    def __len__(self) -> int:
        return len(self.names)

    def __str__(self) -> str:
        lines = [f"{count:4} x {name}" for name, count in Counter(self.names).items()]
        return "\n".join([f"{len(self)} calls, tasks of {self.tasks}:", *lines])


@contextmanager
def counted_calls() -> Generator[Calls]:
    """Count the calls of this thread."""
    calls = Calls()
    before = sys.getprofile()
    sys.setprofile(calls.profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)
