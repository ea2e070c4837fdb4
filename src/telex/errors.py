"""Every exception telex raises, in one tree.

::

    TelexError
    ├── ConfigurationError (ValueError)     an option or a call that cannot work
    │   └── UnknownOptionError (TypeError)  a misspelt option; names the nearest right one
    ├── ConnectError                        a namespace refused the connection
    │   └── TransportError                  the connection could not be made, or broke
    ├── Disconnected                        the connection ended before the answer came
    ├── AckTimeout (TimeoutError)           acknowledgements did not come in time
    ├── ClusterTimeout (TimeoutError)       other servers did not answer in time
    ├── PublishError                        the broker did not take a message
    └── ProtocolError
        ├── PacketError (ValueError)        the peer's fault: it sent what the protocol forbids
        └── EncodeError (TypeError)         the caller's fault: the data cannot be sent
"""

from __future__ import annotations

from typing import Any

from ._log import shown

LONGEST = 2000
"""How many characters of an error's text are shown."""


class TelexError(Exception):
    """Base of every exception raised by telex.

    Its text is on one line, escaped and bounded, because it may quote what a peer has sent.
    """

    def __str__(self) -> str:
        return shown(super().__str__(), LONGEST)


class ConfigurationError(TelexError, ValueError):
    """An option, or a combination of options, that cannot work."""


class UnknownOptionError(ConfigurationError, TypeError):
    """An option that does not exist; the message names the nearest one that does."""


class ConnectError(TelexError):
    """A connection to a namespace was refused.

    Raised by a middleware to refuse a socket: the client's ``connect_error`` event
    then receives exactly this ``message`` and ``data``.
    """

    description: int | str | None = None
    context: object = None

    def __init__(self, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class TransportError(ConnectError):
    """A client's connection could not be made, or has broken.

    ``message`` is the JavaScript client's (``xhr poll error``, ``xhr post error``,
    ``websocket error``), ``description`` an HTTP status or the cause in words, ``context``
    the body of the answer or the exception behind it, ``sentence`` what the server says of it.
    """

    def __init__(
        self,
        message: str,
        description: int | str | None = None,
        context: object = None,
        sentence: str = "",
    ) -> None:
        super().__init__(message)
        self.description = description
        self.context = context
        self.sentence = sentence

    def __str__(self) -> str:
        if self.description is None:
            return shown(self.message, LONGEST)
        what = "HTTP status " if isinstance(self.description, int) else ""
        said = f": {self.sentence}" if self.sentence else ""
        return shown(f"{self.message}: {what}{self.description}{said}", LONGEST)


class Disconnected(TelexError):
    """The connection ended while an answer was awaited; ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the other side has disconnected: {reason}")
        self.reason = reason


class AckTimeout(TelexError, TimeoutError):
    """Acknowledgements did not arrive in time; ``responses`` holds those that did."""

    def __init__(self, message: str, responses: list[Any] | None = None) -> None:
        super().__init__(message)
        self.responses: list[Any] = [] if responses is None else responses


class ClusterTimeout(TelexError, TimeoutError):
    """Servers of the cluster did not answer in time.

    ``responses`` holds the answers that came, ``missing`` the ids of the servers that gave none.
    """

    def __init__(self, message: str, responses: list[Any], missing: list[str]) -> None:
        super().__init__(message)
        self.responses = responses
        self.missing = missing


class PublishError(TelexError):
    """The cluster's broker did not take a message: other servers have not received it."""


class ProtocolError(TelexError):
    """The Engine.IO or Socket.IO protocol was violated; the subclass says by whom."""


class PacketError(ProtocolError, ValueError):
    """The peer sent a packet or payload that the protocol forbids."""


class EncodeError(ProtocolError, TypeError):
    """The data given to ``emit`` or an acknowledgement cannot be sent."""
