"""The option ``parser``, on either side."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from .default import DEFAULT_PARSER
from .msgpack import MSGPACK_PARSER
from .packet import Parser


def choose(option: object) -> Parser:
    """The parser that an option names, or is."""
    if option == "json":
        return DEFAULT_PARSER
    if option == "msgpack":
        return MSGPACK_PARSER
    if isinstance(option, str) or not hasattr(option, "decoder"):
        raise ConfigurationError(
            f"parser must be 'json', 'msgpack' or a parser object, not {option!r}"
        )
    given: Any = option
    parser: Parser = given
    return parser
