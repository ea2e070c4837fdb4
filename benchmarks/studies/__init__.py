"""What no single figure says: how costs grow, how long answers take, what a crowd does."""

from benchmarks.studies import crowd, growth, latency
from benchmarks.studies.study import Scale, Study, StudyFindings

STUDIES: dict[str, Study] = {
    "growth": growth.run,
    "latency": latency.run,
    "crowd": crowd.run,
}

__all__ = ["STUDIES", "Scale", "Study", "StudyFindings"]
