"""Options: validated once, frozen, and every refusal says what to change."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import fields
from typing import Any

import pytest

from telex import EngineServer, Server
from telex.client.options import ClientOptions
from telex.config import ELSEWHERE, EngineOptions, ServerOptions, read
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

    @pytest.mark.parametrize(
        ("kind", "name", "told"),
        [
            (ServerOptions, "cors_allowed_origins", "'origins' here"),
            (ServerOptions, "corsAllowedOrigins", "'origins' here"),
            (ServerOptions, "cors_credentials", "cors={"),
            (ServerOptions, "socketio_path", "'path' here"),
            (ServerOptions, "logger", r"telex\.log\('debug'\)"),
            (ServerOptions, "engineio_logger", r"telex\.log"),
            (ServerOptions, "async_mode", "asyncio"),
            (ServerOptions, "async_handlers", "concurrent=True"),
            (ServerOptions, "client_manager", "'adapter' here"),
            (ServerOptions, "namespaces", r"io\.of"),
            (ServerOptions, "maxPayload", "'max_http_buffer_size' here"),
            (ServerOptions, "generateId", r"io\.engine\.generate_id"),
            (ServerOptions, "port", "run"),
            (ClientOptions, "wait_timeout", "'timeout' here"),
            (ClientOptions, "connectTimeout", "'timeout' here"),
            (ClientOptions, "ssl_verify", "'ssl' here"),
            (ClientOptions, "rejectUnauthorized", "'ssl' here"),
            (ClientOptions, "extraHeaders", "'headers' here"),
            (ClientOptions, "socketio_path", "'path' here"),
            (ServerOptions, "cors_allowed_origin", "'origins' here"),
            (ServerOptions, "cors_allow_origins", "'origins' here"),
            (ClientOptions, "namespaces", "URL"),
            (ClientOptions, "withCredentials", "cookies"),
        ],
    )
    def test_names_from_elsewhere_are_known(self, kind: type, name: str, told: str) -> None:
        with pytest.raises(UnknownOptionError, match=f"unknown option '{name}': .*{told}"):
            read(kind, {name: 1})

    def test_names_from_elsewhere_are_no_names_here(self) -> None:
        known = {item.name for kind in (ServerOptions, ClientOptions) for item in fields(kind)}
        for name, told in ELSEWHERE.items():
            assert " " in told or told in known, name

    def test_no_list_of_all_of_them(self) -> None:
        with pytest.raises(UnknownOptionError) as raised:
            read(EngineOptions, {"zzz": 1})
        assert str(raised.value) == "unknown option 'zzz': there is none of a similar name"

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"cors": {"origin": "*"}}, "did you mean 'origins'"),
            ({"cors": {"allowedHeaders": []}}, "did you mean 'allowed_headers'"),
            ({"cookie": {"httpOnly": True}}, "did you mean 'http_only'"),
            ({"cookie": {"sameSite": True}}, "did you mean 'same_site'"),
            (
                {"connection_state_recovery": {"maxDisconnectionDuration": 1}},
                "did you mean 'max_disconnection_duration'",
            ),
        ],
    )
    def test_keys_of_options(self, options: dict[str, Any], told: str) -> None:
        with pytest.raises(ConfigurationError, match=told):
            Server(**options)

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("room", r"io\.to\(room\)"),
            ("to", r"io\.to\(room\)"),
            ("skip_sid", "except_"),
            ("include_self", "broadcast"),
            ("namespace", r"io\.of"),
            ("callback", "ack=callback"),
            ("something", "follow the name"),
        ],
    )
    def test_keywords_of_emit(self, name: str, told: str) -> None:
        io = Server()
        for emitter in (io, io.of("/a"), io.to("x")):
            with pytest.raises(TypeError, match=rf"emit\(\) takes no '{name}': .*{told}"):
                emitter.emit("x", **{name: 1})  # type: ignore[arg-type]

    def test_are_type_errors_at_the_servers(self) -> None:
        misspelt: Any = {"pingInterval": 1}
        unknown: Any = {"connect_timeout": 1}
        with pytest.raises(TypeError, match="ping_interval"):
            Server(**misspelt)
        with pytest.raises(TypeError, match="connect_timeout"):
            EngineServer(**unknown)

    def test_known_ones_are_read(self) -> None:
        assert read(ServerOptions, {"ping_interval": 1}) == ServerOptions(ping_interval=1)


class TestValues:
    @pytest.mark.parametrize("name", DURATIONS)
    @pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "25", None])
    def test_durations_are_positive_numbers_of_seconds(self, name: str, value: object) -> None:
        with pytest.raises(ConfigurationError, match=rf"{name} must be .*seconds"):
            read(ServerOptions, {name: value})

    @pytest.mark.parametrize("name", DURATIONS)
    @pytest.mark.parametrize("value", [5_000, 25_000, 60_000.0])
    def test_durations_in_milliseconds_are_found(self, name: str, value: float) -> None:
        with pytest.raises(
            ConfigurationError, match=rf"{name} is in seconds.* write {value / 1000:g}\)"
        ):
            read(ServerOptions, {name: value})

    @pytest.mark.parametrize("name", ["timeout", "reconnection_delay", "ack_timeout"])
    def test_durations_of_clients_in_milliseconds_are_found(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"{name} is in seconds.*6 hours"):
            read(ClientOptions, {name: 20_000})

    def test_other_durations_in_milliseconds_are_found(self) -> None:
        two_minutes = 2 * 60 * 1000
        with pytest.raises(ConfigurationError, match="max_disconnection_duration is in seconds"):
            Server(connection_state_recovery={"max_disconnection_duration": two_minutes})
        with pytest.raises(ConfigurationError, match="timeout is in seconds"):
            Server().timeout(5000)

    @pytest.mark.parametrize(
        "name",
        ["allow_upgrades", "allow_eio3", "per_message_deflate", "serve_client"],
    )
    def test_switches_are_booleans(self, name: str) -> None:
        with pytest.raises(ConfigurationError, match=f"{name} must be True or False, not 'false'"):
            read(ServerOptions, {name: "false"})

    def test_http_compression(self) -> None:
        assert read(EngineOptions, {"http_compression": True}).http_compression == 1024
        assert read(EngineOptions, {"http_compression": False}).http_compression is False
        with pytest.raises(ConfigurationError, match="http_compression must be a positive whole"):
            read(EngineOptions, {"http_compression": "1 kB"})

    @pytest.mark.parametrize(
        ("origins", "sentence"),
        [
            ([None], "None is not an origin: write 'https://app.example'"),
            ([1], "1 is not an origin"),
            (["a b/c"], "'a b/c' is not an origin"),
            ([re.compile(b"x")], "is not an origin"),
            (5, "origins must be '\\*', an origin, a compiled pattern"),
            (b"https://a.example", "origins must be"),
            ({"origin": "*"}, "origins must be"),
            (True, "origins must be"),
        ],
    )
    def test_nonsense_as_origins_has_a_sentence(self, origins: Any, sentence: str) -> None:
        with pytest.raises(ConfigurationError, match=sentence):
            Server(origins=origins)

    def test_no_origins_are_said_to_refuse_every_page(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        Server(origins=[])
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "origins=[] refuses every page" in record.getMessage()

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
