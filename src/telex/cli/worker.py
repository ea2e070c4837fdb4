"""The application of a worker process of `telex serve module:factory()`."""

import os

from .target import load

app = load(os.environ["TELEX_SERVE"])
