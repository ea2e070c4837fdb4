"""The tree of exceptions: what can be caught as what, and what they carry."""

from __future__ import annotations

import inspect

import pytest

import telex
from telex import errors

TREE: list[tuple[type[BaseException], tuple[type[BaseException], ...]]] = [
    (errors.ConfigurationError, (errors.TelexError, ValueError)),
    (errors.UnknownOptionError, (errors.ConfigurationError, TypeError)),
    (errors.ConnectError, (errors.TelexError,)),
    (errors.TransportError, (errors.ConnectError,)),
    (errors.Disconnected, (errors.TelexError,)),
    (errors.AckTimeout, (errors.TelexError, TimeoutError)),
    (errors.ClusterTimeout, (errors.TelexError, TimeoutError)),
    (errors.PublishError, (errors.TelexError,)),
    (errors.ProtocolError, (errors.TelexError,)),
    (errors.PacketError, (errors.ProtocolError, ValueError)),
    (errors.EncodeError, (errors.ProtocolError, TypeError)),
]


class TestTree:
    @pytest.mark.parametrize(("error", "bases"), TREE)
    def test_bases(
        self, error: type[BaseException], bases: tuple[type[BaseException], ...]
    ) -> None:
        assert issubclass(error, bases)
        for base in bases:
            assert issubclass(error, base)

    def test_everything_is_drawn_in_the_docstring_and_exported(self) -> None:
        defined = {
            name
            for name, value in vars(errors).items()
            if inspect.isclass(value) and value.__module__ == errors.__name__
        }
        assert defined == {"TelexError", *(error.__name__ for error, _ in TREE)}
        drawn = errors.__doc__ or ""
        for name in defined:
            assert name in drawn
            assert getattr(telex, name) is getattr(errors, name)
            assert name in telex.__all__

    def test_whose_fault_it_is_can_be_told_apart(self) -> None:
        assert not issubclass(errors.PacketError, errors.EncodeError)
        assert not issubclass(errors.EncodeError, errors.PacketError)


class TestWhatTheyCarry:
    def test_connect_error(self) -> None:
        error = errors.ConnectError("not authorized", {"retry": False})
        assert (str(error), error.message, error.data) == (
            "not authorized",
            "not authorized",
            {"retry": False},
        )
        assert errors.ConnectError("no").data is None

    def test_transport_error(self) -> None:
        body = '{"code":4,"message":"Forbidden"}'
        refused = errors.TransportError("xhr poll error", 403, body)
        assert str(refused) == "xhr poll error: HTTP status 403"
        assert (refused.message, refused.description, refused.context) == (
            "xhr poll error",
            403,
            body,
        )
        assert str(errors.TransportError("timeout")) == "timeout"

    def test_disconnected(self) -> None:
        error = errors.Disconnected("ping timeout")
        assert error.reason == "ping timeout"
        assert "ping timeout" in str(error)

    def test_cluster_timeout(self) -> None:
        error = errors.ClusterTimeout("late", [1], ["a"])
        assert (str(error), error.responses, error.missing) == ("late", [1], ["a"])

    def test_ack_timeout(self) -> None:
        assert errors.AckTimeout("late", [1, 2]).responses == [1, 2]
        first, second = errors.AckTimeout("late"), errors.AckTimeout("late")
        first.responses.append(1)
        assert second.responses == []
