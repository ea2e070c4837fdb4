"""What no single figure says: how costs grow, how long answers take, what a crowd does, what
a client costs."""

from benchmarks.studies import clients, crowd, growth, latency, profiles
from benchmarks.studies.study import Scale, Study, StudyFindings

STUDIES: dict[str, Study] = {
    "growth": growth.run,
    "latency": latency.run,
    "crowd": crowd.run,
    "clients": clients.run,
    "profiles": profiles.run,
}

__all__ = ["STUDIES", "Scale", "Study", "StudyFindings"]
