"""Options of `io.run()` and `io.listen()`."""

from __future__ import annotations

from typing import Any

import pytest

from telex import Server
from telex.errors import UnknownOptionError

MISSPELT = pytest.mark.parametrize(
    ("name", "meant"), [("hots", "host"), ("logLevel", "log_level"), ("ssl_cert", "ssl_certfile")]
)


@MISSPELT
def test_a_misspelt_option_of_run(name: str, meant: str) -> None:
    options: dict[str, Any] = {name: "x"}
    with pytest.raises(UnknownOptionError, match=f"'{name}': did you mean '{meant}'"):
        Server().run(**options)


@MISSPELT
async def test_a_misspelt_option_of_listen(name: str, meant: str) -> None:
    options: dict[str, Any] = {name: "x"}
    with pytest.raises(UnknownOptionError, match=f"'{name}': did you mean '{meant}'"):
        await Server().listen(port=0, **options)
