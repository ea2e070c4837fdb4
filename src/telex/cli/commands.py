"""The commands themselves, for typer."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from .._version import __version__
from .address import AddressError, check_address, explain, url_of
from .target import TargetError, load

app = typer.Typer(
    help="Socket.IO for Python.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)

Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is every IPv4 network.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]


def fail(sentence: str) -> typer.Exit:
    """Print what is wrong; raise what this returns."""
    err.print(Text.assemble(("telex: ", "bold red"), sentence))
    return typer.Exit(1)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"telex {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Socket.IO for Python."""


@app.command()
def demo(host: Host = "127.0.0.1", port: Port = 3000) -> None:
    """Open a chat for every browser that comes by."""
    try:
        check_address(host, port)
        asyncio.run(_demo(host, port))
    except AddressError as error:
        raise fail(str(error)) from None


async def _demo(host: str, port: int) -> None:
    from .demo import create

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, ended.set)
        except NotImplementedError:  # Windows: Ctrl+C cancels this task instead
            break
    io = create()
    try:
        await io.listen(port=port, host=host)
    except OSError as error:
        raise AddressError(explain(error, host, port)) from None
    try:
        url = url_of(host, io.port or port)
        out.print(Text.assemble("The chat is open: ", (url, "bold link " + url)))
        out.print("Open it twice and talk to yourself. Ctrl+C ends it.", style="dim")
        await ended.wait()
    finally:
        await io.close()


@app.command()
def serve(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:OBJECT", help="Such as app:io, or app:create().")
    ],
    host: Host = "127.0.0.1",
    port: Port = 3000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when files change.")] = False,
) -> None:
    """Serve an application of yours."""
    if reload and workers > 1:
        raise fail("--reload runs one process: leave --workers out.")
    try:
        application = load(target)
        check_address(host, port)
    except TargetError as error:
        if error.report:
            err.print(Text(error.report.rstrip()))
        raise fail(str(error)) from None
    except AddressError as error:
        raise fail(str(error)) from None
    if workers > 1:
        err.print(
            "Polling clients stay with one worker only behind a load balancer that is sticky; "
            "WebSocket clients (transports: ['websocket']) do anywhere.",
            style="yellow",
        )
    from ..fronts.serve import run

    run(
        application,
        host=host,
        port=port,
        workers=workers,
        reload=reload,
        import_string=_import_string(target) if reload or workers > 1 else None,
    )


def _import_string(target: str) -> str:
    """What other processes import: factories are called by a module of ours."""
    if not target.endswith("()"):
        return target
    os.environ["TELEX_SERVE"] = target
    return "telex.cli.worker:app"
