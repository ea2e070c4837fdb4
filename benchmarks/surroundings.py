"""Where and when figures were taken."""

import os
import platform
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
    load_before: float
    """Processes that wanted to run in the minute before: well above 0, others were at work."""

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
            load_before=os.getloadavg()[0],
        )

    @property
    def machine(self) -> str:
        """The machine in one line."""
        return f"{self.processor}, {self.cores} cores, {self.memory}, {self.system}"

    @property
    def disturbed(self) -> bool:
        """Whether others were at work: then CPU times are larger and ratios less certain."""
        return self.load_before > 0.5


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _gigabytes(kilobytes: str) -> str:
    number = kilobytes.split(" ", maxsplit=1)[0]
    return f"{int(number) / 1024**2:.0f} GB" if number.isdigit() else "memory unknown"
