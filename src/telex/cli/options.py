"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Host = Annotated[
    str,
    typer.Option(
        help="Address to listen on: 127.0.0.1 for this machine only, 0.0.0.0 (every IPv4 network)"
        " for containers, phones and devices, too."
    ),
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
LogLevel = Literal["critical", "error", "warning", "info", "debug", "trace"]

Url = Annotated[
    str, typer.Argument(metavar="URL", help="Where the server is; its path is the namespace.")
]
Path = Annotated[str, typer.Option(metavar="PATH", help="The path of the engine.")]
NamespaceOption = Annotated[
    str | None, typer.Option("--namespace", "-n", metavar="NAME", help="Instead of the URL's path.")
]
Auth = Annotated[
    str | None,
    typer.Option(metavar="JSON", help="What the server reads as handshake.auth; @FILE for a file."),
]
Header = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="NAME:VALUE", help="Sent with every request; several."),
]
Query = Annotated[
    list[str] | None,
    typer.Option("--query", metavar="KEY=VALUE", help="Added to the query; several."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", "-k", help="Accept certificates that do not verify.")
]
