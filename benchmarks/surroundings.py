"""Where and when figures were taken."""

import os
import platform
import resource
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a reader needs to judge figures from another machine."""

    date: str
    processor: str
    cores: int
    memory: str
    system: str
    python: str

    @classmethod
    def now(cls) -> "Surroundings":
        """This machine, at this moment."""
        return cls(
            date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            processor=_field("/proc/cpuinfo", "model name") or platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory=_gigabytes(_field("/proc/meminfo", "MemTotal")),
            system=f"{platform.system()} {platform.release().split('-')[0]}",
            python=f"{platform.python_implementation()} {platform.python_version()}",
        )

    @property
    def machine(self) -> str:
        """The machine in one line."""
        return f"{self.processor}, {self.cores} cores, {self.memory}, {self.system}"


class Neighbours:
    """How much of the machine others use from now on.

    Others make caches cold and cores slow: costs grow, and ratios become less certain.
    """

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._machine = _busy_seconds()
        self._ours = _own_seconds()

    @property
    def cores(self) -> float:
        """Cores that others have kept busy on average; our children count when they have ended."""
        others = (_busy_seconds() - self._machine) - (_own_seconds() - self._ours)
        return max(others, 0) / (time.monotonic() - self._since)


def _busy_seconds() -> float:
    """CPU time that all processes have used since the machine started."""
    first = Path("/proc/stat").read_text().splitlines()[0]
    user, nice, system, _idle, _wait, irq, softirq = (int(one) for one in first.split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usages)


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _gigabytes(kilobytes: str) -> str:
    number = kilobytes.split(" ", maxsplit=1)[0]
    return f"{int(number) / 1024**2:.0f} GB" if number.isdigit() else "memory unknown"
