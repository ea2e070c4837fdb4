"""Long-polling and WebSocket, each on its own."""

from __future__ import annotations

import statistics
from http.cookies import Morsel

from .case import Case, forward_upgrades, intermediary
from .wire import (
    Answer,
    Closed,
    NoAnswer,
    NotOpened,
    Open,
    WebSocket,
    parse_open,
    read_open,
)

ROUND_TRIPS = 5


# -- long-polling ---------------------------------------------------------------------------


async def polling(case: Case) -> None:
    """Open a session, send to it and see what its answers carry."""
    if not case.polling:
        return
    async with case.visitor() as visitor:
        try:
            answer = await visitor.handshake()
            opened = read_open(answer)
            if opened is None:
                case.polling = False
                _polling_failed(case, answer)
                return
            sent = await visitor.post(opened.sid, visitor.heartbeat())
            await visitor.leave(opened.sid)
        except NoAnswer as reason:
            case.polling = False
            case.findings.add(
                "polling",
                "problem",
                f"Long-polling breaks off: {reason}",
                "The server, or a proxy before it, closes connections or holds requests back.",
                "Look into the logs of both.",
            )
            return
    if sent.status == 200 or (sent.refusal is not None and sent.refusal.code == 1):
        _polling_works(case, answer, opened)
    else:
        case.polling = False
        case.findings.add(
            "polling",
            "problem",
            f"Sessions open, but sending is answered {sent.status} “{sent.excerpt}”",
            "Something before the server does not let POST requests with text/plain through.",
            "Allow GET, POST and OPTIONS for the path in the proxy or firewall.",
            http_status=sent.status,
            excerpt=sent.excerpt,
        )
    _cookies(case, answer)


def _polling_works(case: Case, answer: Answer, opened: Open) -> None:
    case.opened = opened
    compressed = answer.headers.get("content-encoding")
    case.findings.add(
        "polling",
        "ok",
        "Long-polling: sessions open, requests are answered",
        sid=opened.sid,
        upgrades=opened.upgrades,
        content_encoding=compressed,
    )
    for name in ("x-cache", "cf-cache-status", "x-cache-status"):
        if answer.headers.get(name, "").upper().startswith("HIT"):
            cached(case, f"the answer to a handshake carries {name}: {answer.headers[name]}")
            break


def _polling_failed(case: Case, answer: Answer) -> None:
    case.findings.add(
        "polling",
        "problem",
        f"A second handshake is answered {answer.status} “{answer.excerpt}”",
        "Requests reach servers that differ, or the number of sessions is limited.",
        "Compare the servers behind the balancer; look into their logs.",
        http_status=answer.status,
        excerpt=answer.excerpt,
    )


def cached(case: Case, sign: str) -> None:
    case.findings.add(
        "polling",
        "problem",
        f"Answers come from a cache: {sign}",
        "A proxy or CDN keeps answers of the engine, and gives one client what belongs to another.",
        f"Exclude {case.place.path}/ from caching.",
    )


def _cookies(case: Case, answer: Answer) -> None:
    cookies: list[Morsel[str]] = list(answer.cookies.values())
    data = {
        "cookies": [
            {
                "name": one.key,
                "path": one["path"] or None,
                "secure": bool(one["secure"]),
                "http_only": bool(one["httponly"]),
                "same_site": one["samesite"] or None,
            }
            for one in cookies
        ]
    }
    if not cookies:
        case.findings.add("cookies", "info", "No cookies are set", data=data)
        return
    names = ", ".join(one.key for one in cookies)
    for one in cookies:
        lax = one["samesite"].lower()
        if lax == "none" and not one["secure"]:
            cause = f"{one.key} has SameSite=None without Secure."
        elif one["secure"] and not case.place.secure and case.place.host != "localhost":
            cause = f"{one.key} is Secure, but the address is http."
        else:
            continue
        case.findings.add(
            "cookies",
            "warning",
            f"Cookies: {names}; browsers drop {one.key}",
            cause,
            "Serve over HTTPS and set Secure together with SameSite=None.",
            data=data,
        )
        return
    case.findings.add("cookies", "info", f"Cookies: {names}", data=data)


# -- WebSocket -------------------------------------------------------------------------------------


async def websocket(case: Case) -> None:
    """Open a session by WebSocket alone, and time round trips."""
    async with case.visitor() as visitor:
        try:
            socket = await visitor.websocket()
        except NotOpened as refused:
            await _websocket_refused(case, refused)
            return
        except NoAnswer as reason:
            if _unoffered(case):
                _not_offered(case, "The handshake announces no upgrade, and a WebSocket gets none.")
                return
            case.findings.add(
                "websocket",
                "problem",
                f"WebSocket: {reason}",
                "Something before the server breaks WebSocket connections off, or holds them back.",
                forward_upgrades(case),
            )
            return
        try:
            opened = parse_open(await socket.receive(case.timeout), case.revision, [])
            if opened is None:
                raise Closed(None, "another packet than the open packet came")
            await _websocket_works(case, socket, opened)
        except (TimeoutError, Closed) as error:
            case.findings.add(
                "websocket",
                "problem",
                "A WebSocket opens, but no session: "
                + (str(error) if isinstance(error, Closed) else "the open packet does not come"),
                "The WebSocket was taken by another application or a proxy, or the server refuses "
                f"revision {case.revision} only after opening.",
                "Let the proxy pass the path on to the Socket.IO server.",
            )
        finally:
            await socket.close()


async def _websocket_works(case: Case, socket: WebSocket, opened: Open) -> None:
    case.websocket = True
    case.opened = case.opened or opened
    case.findings.add(
        "websocket",
        "ok",
        "WebSocket: sessions open directly",
        sid=opened.sid,
        per_message_deflate=socket.compressed,
    )
    if "websocket" not in case.opened.upgrades and case.polling:
        case.findings.add(
            "websocket",
            "warning",
            "Upgrades to WebSocket are not offered, although WebSockets work",
            "allow_upgrades (allowUpgrades) is off on the server.",
            "Turn it on, or let clients begin with WebSocket: "
            'transports: ["websocket", "polling"].',
        )
    try:
        for _ in range(ROUND_TRIPS):
            case.websocket_seconds.append(await socket.ping(case.timeout))
    except (TimeoutError, Closed):
        pass  # the latency says that none came


def _unoffered(case: Case) -> bool:
    return case.opened is not None and "websocket" not in case.opened.upgrades


def _not_offered(case: Case, cause: str, **data: object) -> None:
    case.findings.add(
        "websocket",
        "info" if case.polling else "problem",
        "WebSocket is not offered by the server",
        f"{cause} Its transports do not include websocket.",
        'Allow it: transports=("polling", "websocket").',
        data=data,
    )


async def _websocket_refused(case: Case, refused: NotOpened) -> None:
    answer, place = refused.answer, case.place
    refusal = answer.refusal
    message = refusal.message if refusal else answer.excerpt
    data = {
        "http_status": answer.status,
        "code": refusal.code if refusal else None,
        "message": message,
    }
    told = f"{answer.status}" + (f" “{message}”" if message else "")
    if refusal and refusal.code == 0:
        _not_offered(case, f"The server answers “{message}”.", **data)
    elif answer.status == 101:
        case.findings.add(
            "websocket",
            "problem",
            f"The WebSocket handshake is answered wrongly: {refused.detail}",
            "What stands between changes the headers of the answer.",
            forward_upgrades(case),
            data=data,
        )
    elif answer.status == 403 or (refusal and refusal.code == 4):
        case.findings.add(
            "websocket",
            "problem",
            f"WebSocket: {told}",
            "The server or a proxy refuses it: a check of the origin or of the request, or a "
            "firewall that lets no WebSockets through.",
            "Compare with the server's log; --origin examines the origin of a page.",
            data=data,
        )
    else:
        behind = intermediary(answer.headers) or case.intermediary or "a proxy"
        stripped = answer.status in (200, 400, 426)
        case.findings.add(
            "websocket",
            "problem",
            f"WebSocket: {told}, although the server offers it"
            if case.opened is not None and not _unoffered(case)
            else f"WebSocket: {told}",
            f"The request reached {place.path}/ without its upgrade: {behind} does not pass it on."
            if stripped
            else f"The handshake was answered by {behind}, not by the engine.",
            forward_upgrades(case) + " Until then clients stay with long-polling.",
            data=data,
        )


# -- latency ---------------------------------------------------------------------------------------


async def latency(case: Case) -> None:
    """Round trips of both transports."""
    polled: list[float] = []
    if case.polling and case.sticky:
        async with case.visitor() as visitor:
            try:
                opened = read_open(await visitor.handshake())
                if opened is not None:
                    for _ in range(ROUND_TRIPS):
                        answer = await visitor.post(opened.sid, visitor.heartbeat())
                        if answer.status == 200:
                            polled.append(answer.seconds)
                    await visitor.leave(opened.sid)
            except NoAnswer:
                pass
    shown: list[str] = []
    data: dict[str, object] = {}
    for name, times in (("polling", polled), ("websocket", case.websocket_seconds)):
        if times:
            middle = statistics.median(times)
            shown.append(f"{name} {_ms(middle)} ms (at most {_ms(max(times))})")
            data[name] = {
                "median": round(middle, 6),
                "worst": round(max(times), 6),
                "times": [round(one, 6) for one in times],
            }
    if shown:
        case.findings.add("latency", "info", f"Round trip: {', '.join(shown)}", data=data)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f}" if seconds >= 0.001 else f"{1000 * seconds:.2f}"
