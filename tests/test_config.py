"""Options: validated once, frozen, and every refusal says what to change."""

from __future__ import annotations

import dataclasses
import math

import pytest

from telex import EngineServer, Server
from telex.config import EngineOptions, ServerOptions, read
from telex.errors import ConfigurationError, UnknownOptionError

DURATIONS = ["ping_interval", "ping_timeout", "upgrade_timeout", "connect_timeout"]
COUNTS = ["max_http_buffer_size", "send_buffer_limit", "max_attachments"]


class TestDefaults:
    def test_are_those_that_the_documentation_names(self) -> None:
        options = ServerOptions()
        assert (options.path, EngineOptions().path) == ("/socket.io", "/engine.io")
        assert options.transports == ("polling", "websocket")
        assert (options.allow_upgrades, options.allow_eio3) == (True, True)
        assert (options.ping_interval, options.ping_timeout) == (25.0, 20.0)
        assert (options.upgrade_timeout, options.connect_timeout) == (10.0, 45.0)
        assert (options.max_http_buffer_size, options.max_attachments) == (1_000_000, 10)
        assert options.origins is None
        assert options.cookie is False
        assert options.serve_client is True
        assert options.http_compression == 1024

    def test_are_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            ServerOptions().ping_interval = 1  # type: ignore[misc]


class TestUnknownOptions:
    @pytest.mark.parametrize(
        ("name", "nearest"),
        [
            ("pingInterval", "ping_interval"),
            ("maxHttpBufferSize", "max_http_buffer_size"),
            ("allowEIO3", "allow_eio3"),
            ("allowRequest", "allow_request"),
            ("httpCompression", "http_compression"),
            ("ping_intervall", "ping_interval"),
            ("origin", "origins"),
            ("conect_timeout", "connect_timeout"),
        ],
    )
    def test_name_the_nearest_one(self, name: str, nearest: str) -> None:
        with pytest.raises(UnknownOptionError, match=f"{name}.*did you mean '{nearest}'"):
            read(ServerOptions, {name: 1})

    def test_name_all_of_them_if_none_is_near(self) -> None:
        with pytest.raises(UnknownOptionError, match="the options are path, transports"):
            read(EngineOptions, {"zzz": 1})

    def test_are_type_errors_at_the_servers(self) -> None:
        with pytest.raises(TypeError, match="ping_interval"):
            Server(pingInterval=1)
        with pytest.raises(TypeError, match="connect_timeout"):
            EngineServer(connect_timeout=1)

    def test_known_ones_are_read(self) -> None:
        assert read(ServerOptions, {"ping_interval": 1}) == ServerOptions(ping_interval=1)


class TestValues:
    @pytest.mark.parametrize("name", DURATIONS)
    @pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "25", None])
    def test_durations_are_positive_numbers_of_seconds(self, name: str, value: object) -> None:
        with pytest.raises(ConfigurationError, match=rf"{name} must be .*seconds"):
            read(ServerOptions, {name: value})

    @pytest.mark.parametrize("name", COUNTS)
    @pytest.mark.parametrize("value", [0, -1, 1.5, math.inf, True, "1", None])
    def test_sizes_and_counts_are_whole_numbers(self, name: str, value: object) -> None:
        with pytest.raises(ConfigurationError, match=f"{name} must be a positive whole number"):
            read(ServerOptions, {name: value})

    @pytest.mark.parametrize(
        ("path", "meant"),
        [("/socket.io", "/socket.io"), ("socket.io/", "/socket.io"), ("/a/b/", "/a/b")],
    )
    def test_path(self, path: str, meant: str) -> None:
        assert EngineOptions(path=path).path == meant

    @pytest.mark.parametrize("path", ["", "/", "//", None, 3])
    def test_no_path(self, path: object) -> None:
        with pytest.raises(ConfigurationError, match="path must be"):
            read(EngineOptions, {"path": path})

    def test_transports(self) -> None:
        assert read(EngineOptions, {"transports": "websocket"}).transports == ("websocket",)
        assert read(EngineOptions, {"transports": ["websocket", "polling"]}).transports == (
            "websocket",
            "polling",
        )
        assert read(EngineOptions, {"transports": ["polling"] * 2}).transports == ("polling",)

    @pytest.mark.parametrize("transports", [[], ["flashsocket"], "constructor", 5, None])
    def test_no_transports(self, transports: object) -> None:
        with pytest.raises(ConfigurationError, match="transport"):
            read(EngineOptions, {"transports": transports})

    def test_allow_request_must_be_callable(self) -> None:
        with pytest.raises(ConfigurationError, match="allow_request must be callable"):
            read(EngineOptions, {"allow_request": "yes"})
