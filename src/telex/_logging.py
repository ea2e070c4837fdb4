"""How telex's log is shown: by one call, by the host that telex starts, without session ids."""

from __future__ import annotations

import copy
import logging
import re
import sys
from typing import Any

from ._log import logger, shown
from .errors import ConfigurationError

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

_SID = re.compile(r"([?&]sid=)[^&\s]*")


def log(level: str | int = "info") -> None:
    """Write what telex does to standard error, each line with its time and level.

    ``"warning"``: failures and refusals. ``"info"``: also each connection, what joins and
    leaves namespaces, and limits that were reached. ``"debug"``: also every packet of the
    connections that are opened from then on. If the application has set up logging, only
    the level of the logger ``telex`` is set. ``ConfigurationError`` if there is no such level.
    """
    number = level_of(level)
    logger.setLevel(number)
    if not logger.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)


def level_of(level: str | int) -> int:
    """The number of a level; ``trace`` is the host's name for more than ``debug``."""
    names = {**logging.getLevelNamesMapping(), "TRACE": 5}
    number = names.get(level.upper()) if isinstance(level, str) else level
    if not isinstance(number, int) or isinstance(number, bool):
        raise ConfigurationError(f"there is no level {level!r}: write 'warning', 'info' or 'debug'")
    return number


def with_telex(log_config: dict[str, Any], level: str | int | None) -> dict[str, Any]:
    """The logging of a host, as ``logging.config.dictConfig`` takes it, with telex in it.

    Where the application has set up logging itself, its own is used; packets are shown there,
    too, if ``level`` asks for them.
    """
    number = logging.INFO if level is None else level_of(level)
    if logger.hasHandlers():
        if number < logging.INFO and logger.level == logging.NOTSET:
            logger.setLevel(number)
        return log_config
    config = copy.deepcopy(log_config)
    config["formatters"]["telex"] = {"format": FORMAT}
    config["handlers"]["telex"] = {
        "class": "logging.StreamHandler",
        "formatter": "telex",
        "stream": "ext://sys.stderr",
    }
    config["loggers"]["telex"] = {"handlers": ["telex"], "level": number, "propagate": False}
    return config


class SessionIds(logging.Filter):
    """Takes session ids, which are credentials, out of an access log, and bounds its lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple([_without_sid(each) for each in record.args])
        return True


def _without_sid(value: object) -> object:
    return shown(_SID.sub(r"\1…", value)) if isinstance(value, str) else value


SESSION_IDS = SessionIds()
