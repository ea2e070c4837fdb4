"""The commands themselves, for typer."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from .._log import visible
from .._version import __version__
from ..errors import ConfigurationError, TelexError
from .address import AddressError, check_address, explain, url_of
from .environment import EnvironmentFileError, read_environment
from .options import Auth, Header, Host, Insecure, LogLevel, NamespaceOption, Path, Port, Query, Url
from .place import PlaceError, headers_of, origin_of
from .place import read as read_place
from .target import TargetError, load
from .values import ValueProblem, json_text, read_auth, read_value

if TYPE_CHECKING:
    from .client import Wanted
    from .interactive import Talk

app = typer.Typer(
    help="Socket.IO for Python.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)

_WORKERS = (
    "{} workers are separate servers: events emitted in one worker reach its own clients only, and"
    " long-polling requests that arrive at another worker are refused. No load balancer can change"
    " that, because the workers share one port. Use one worker (leave --workers out) unless neither"
    " matters to your application."
)

_OPTION = re.compile(r"--?[A-Za-z]")


def fail(sentence: str, status: int = 1) -> typer.Exit:
    """Print what is wrong; raise what this returns."""
    err.print(Text.assemble(("telex: ", "bold red"), sentence))
    return typer.Exit(status)


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
    """Serve a chat page for browsers."""
    try:
        check_address(host, port)
        asyncio.run(_demo(host, port))
    except AddressError as error:
        raise fail(str(error)) from None


async def _demo(host: str, port: int) -> None:
    from .demo import create

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signals.append(signal.SIGHUP)
    for number in signals:
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
        loop.remove_signal_handler(signal.SIGINT)  # the next one ends at once
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
    uds: Annotated[
        str | None, typer.Option(metavar="FILE", help="Listen on this Unix socket instead.")
    ] = None,
    ssl_certfile: Annotated[
        str | None, typer.Option(metavar="FILE", help="Certificate chain, PEM: serve HTTPS.")
    ] = None,
    ssl_keyfile: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Its private key, unless it is in the same file."),
    ] = None,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", help="What a proxy has taken off the paths of requests.")
    ] = "",
    proxy_headers: Annotated[
        bool, typer.Option(help="Believe X-Forwarded-For and -Proto of trusted proxies.")
    ] = True,
    forwarded_allow_ips: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESSES",
            envvar="FORWARDED_ALLOW_IPS",
            help="Proxies to believe, separated by commas; 127.0.0.1 unless said otherwise.",
        ),
    ] = None,
    log_level: Annotated[LogLevel, typer.Option(help="What the host logs.")] = "info",
    access_log: Annotated[bool, typer.Option(help="Log a line for each request.")] = True,
    env_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Set variables of the environment: KEY=VALUE lines."),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(min=0, metavar="S", help="Seconds to spread the disconnections at the end."),
    ] = 0.0,
) -> None:
    """Serve an application: a telex server, or any other ASGI application."""
    if reload and workers > 1:
        raise fail("--reload runs one process: leave --workers out.")
    if ssl_keyfile is not None and ssl_certfile is None:
        raise fail("--ssl-keyfile is the key of a certificate: name that, too, by --ssl-certfile.")
    for option, file in (("certfile", ssl_certfile), ("keyfile", ssl_keyfile)):
        if file is not None and not os.path.isfile(file):
            raise fail(f"--ssl-{option}: there is no file {file}.")
    try:
        if env_file is not None:
            read_environment(env_file)
        application = load(target)
        if uds is None:
            check_address(host, port)
    except TargetError as error:
        if error.report:
            err.print(Text(error.report.rstrip()))
        raise fail(str(error)) from None
    except (AddressError, EnvironmentFileError) as error:
        raise fail(str(error)) from None
    if workers > 1:
        err.print(_WORKERS.format(workers), style="yellow")
    from ..fronts.uvicorn.serve import run

    try:
        run(
            application,
            host=host,
            port=port,
            workers=workers,
            reload=reload,
            import_string=_import_string(target) if reload or workers > 1 else None,
            drain=drain,
            uds=uds,
            ssl_certfile=ssl_certfile,
            ssl_keyfile=ssl_keyfile,
            root_path=root_path,
            proxy_headers=proxy_headers,
            forwarded_allow_ips=forwarded_allow_ips,
            log_level=log_level,
            access_log=access_log,
        )
    except ConfigurationError as error:
        raise fail(str(error)) from None
    except ssl.SSLError as error:
        raise fail(f"The certificate, or its key, cannot be used: {error}") from None


def _import_string(target: str) -> str:
    """What other processes import: factories are called by a module of ours."""
    if not target.endswith("()"):
        return target
    os.environ["TELEX_SERVE"] = target
    return "telex.cli.worker:app"


Transport = Annotated[
    Literal["polling", "websocket"] | None,
    typer.Option(help="Use only this one, instead of beginning with polling and upgrading."),
]
Msgpack = Annotated[bool, typer.Option("--msgpack", help="The server's parser is msgpack.")]
Protocol = Annotated[
    int, typer.Option(min=4, max=5, help="Socket.IO's revision; 4 for servers of Socket.IO 2.")
]


def _wanted(
    url: str,
    *,
    path: str,
    namespace: str | None,
    auth: str | None,
    header: list[str] | None,
    query: list[str] | None,
    transport: Literal["polling", "websocket"] | None,
    msgpack: bool,
    protocol: int,
    insecure: bool,
    reconnect: bool = True,
) -> Wanted:
    from .client import Wanted

    try:
        place = read_place(url, path=path, namespace=namespace, query=query or [])
        headers = headers_of(header or [])
        said = None if auth is None else read_auth(auth)
    except (PlaceError, ValueProblem) as error:
        raise fail(str(error), 2) from None
    return Wanted(
        url=url,
        place=place,
        auth=said,
        headers=headers,
        transport=transport,
        msgpack=msgpack,
        protocol=protocol,
        insecure=insecure,
        reconnect=reconnect,
    )


@app.command()
def connect(
    url: Url,
    path: Path = "/socket.io",
    namespace: NamespaceOption = None,
    auth: Auth = None,
    header: Header = None,
    query: Query = None,
    transport: Transport = None,
    msgpack: Msgpack = False,
    protocol: Protocol = 5,
    insecure: Insecure = False,
    no_reconnect: Annotated[
        bool, typer.Option("--no-reconnect", help="End when the connection is lost.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.001, metavar="S", help="Seconds to wait for acknowledgements.")
    ] = 10.0,
    linger: Annotated[
        float,
        typer.Option(min=0, metavar="S", help="Seconds to wait for events after piped input."),
    ] = 1.0,
) -> None:
    """Talk to a server: see its events, emit by typing. Lines may be piped in.

    Exit status of piped input: 0 all went well, 1 something failed, 2 no server was reached.
    """
    from .display import Display, Screen
    from .interactive import converse, piped

    wanted = _wanted(
        url,
        path=path,
        namespace=namespace,
        auth=auth,
        header=header,
        query=query,
        transport=transport,
        msgpack=msgpack,
        protocol=protocol,
        insecure=insecure,
        reconnect=not no_reconnect,
    )
    typed = sys.stdin.isatty() and sys.stdout.isatty()
    lines: Callable[[Talk], AsyncIterator[str]] = piped
    if typed:
        try:
            from .terminal import prompted
        except ModuleNotFoundError as error:
            raise fail(f"The prompt needs {error.name}: pip install 'telex[cli]'") from None
        lines = prompted
    talk = converse(
        wanted,
        Display(Screen(highlight=False, soft_wrap=True)),
        lines=lines,
        complain=_complain,
        ack_timeout=timeout,
        linger=None if typed else linger,
    )
    raise typer.Exit(_run(talk))


@app.command(context_settings={"ignore_unknown_options": True})
def emit(
    url: Url,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Its name.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="JSON", help="JSON, a word as text, or @file for its bytes."),
    ] = None,
    ack: Annotated[
        bool, typer.Option("--ack", help="Wait for the acknowledgement and print it.")
    ] = False,
    path: Path = "/socket.io",
    namespace: NamespaceOption = None,
    auth: Auth = None,
    header: Header = None,
    query: Query = None,
    transport: Transport = None,
    msgpack: Msgpack = False,
    protocol: Protocol = 5,
    insecure: Insecure = False,
    timeout: Annotated[
        float, typer.Option(min=0.001, metavar="S", help="Seconds to connect, and to wait.")
    ] = 10.0,
) -> None:
    """Emit one event. With --ack, print the acknowledgement: JSON, one line for each argument.

    Exit status: 0 sent and, if asked for, acknowledged; 1 refused or not acknowledged; 2 no server
    was reached.
    """
    from .emit import emit as emit_once

    wanted = _wanted(
        url,
        path=path,
        namespace=namespace,
        auth=auth,
        header=header,
        query=query,
        transport=transport,
        msgpack=msgpack,
        protocol=protocol,
        insecure=insecure,
        reconnect=False,
    )
    for text in arguments or []:
        if _OPTION.match(text):
            raise fail(
                f"There is no option {text}. As a text, write it in quotes: '\"{text}\"'.", 2
            )
    try:
        values = [read_value(text) for text in arguments or []]
    except ValueProblem as error:
        raise fail(str(error), 2) from None
    work = emit_once(wanted, event, values, ack=ack, timeout=timeout, say=print, complain=_complain)
    raise typer.Exit(_run(work))


def _complain(sentence: str) -> None:
    fail(visible(sentence))


@app.command()
def doctor(
    url: Url,
    path: Path = "/socket.io",
    namespace: NamespaceOption = None,
    auth: Auth = None,
    header: Header = None,
    query: Query = None,
    origin: Annotated[
        str | None,
        typer.Option(metavar="ORIGIN", help="Also examine pages of this origin (CORS)."),
    ] = None,
    insecure: Insecure = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Seconds to wait for any one answer.")
    ] = 10.0,
    sessions: Annotated[
        int, typer.Option(min=1, max=50, help="Sessions that look for stickiness.")
    ] = 4,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until a heartbeat has been seen.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a report for machines.")] = False,
) -> None:
    """Find out why clients cannot connect, and what to change.

    Exit status: 0 nothing stands in the way, 1 problems were found, 2 no server was reached.
    """
    from .doctor import Case, Findings, Lines, examine, to_json

    lines = Lines(out)
    try:
        case = Case(
            read_place(url, path=path, namespace=namespace, query=query or []),
            Findings((lambda _: None) if as_json else lines.show),
            headers=headers_of(header or []),
            auth=None if auth is None else read_auth(auth),
            origin=None if origin is None else origin_of(origin),
            insecure=insecure,
            timeout=timeout,
            wait=wait,
            sessions=sessions,
        )
    except (PlaceError, ValueProblem) as error:
        raise fail(str(error), 2) from None
    status = _run(examine(case))
    if status != case.findings.status:  # it did not come to its end
        raise typer.Exit(status)
    if as_json:
        print(json_text(to_json(case, url, __version__)))
    else:
        lines.conclude(case)
    raise typer.Exit(status)


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end; Ctrl+C is no traceback."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return 130
    except (TelexError, ValueError, TypeError) as error:  # what an option or an event may not be
        _complain(str(error))
        return 2
