"""What a browser would say: CORS for long-polling, and the server's own check of origins."""

from __future__ import annotations

from collections.abc import Mapping

from multidict import CIMultiDict

from .case import Case
from .wire import Answer, NoAnswer, NotOpened, read_open

_SAFE_HEADERS = {"accept", "accept-language", "content-language"}


def blocked(origin: str, headers: CIMultiDict[str], *, credentials: bool) -> str | None:
    """Why a browser keeps an answer from a page of ``origin``; ``None`` if it does not."""
    allowed = headers.getall("access-control-allow-origin", [])
    if not allowed:
        return "No 'Access-Control-Allow-Origin' header is present on the requested resource"
    if len(allowed) > 1 or "," in allowed[0]:
        return (
            "The 'Access-Control-Allow-Origin' header contains multiple values "
            f"'{', '.join(allowed)}', but only one is allowed"
        )
    value = allowed[0].strip()
    if credentials and value == "*":
        return (
            "The value of the 'Access-Control-Allow-Origin' header must not be the wildcard '*' "
            "when the request's credentials mode is 'include'"
        )
    if value not in ("*", origin):
        return (
            f"The 'Access-Control-Allow-Origin' header has a value '{value}' that is not equal to "
            "the supplied origin"
        )
    if credentials and headers.get("access-control-allow-credentials", "").strip() != "true":
        return (
            "The value of the 'Access-Control-Allow-Credentials' header must be 'true' when the "
            "request's credentials mode is 'include'"
        )
    return None


def preflight_blocked(origin: str, answer: Answer, wanted: list[str]) -> str | None:
    """Why a browser does not send a request with the headers ``wanted``."""
    reason = blocked(origin, answer.headers, credentials=False)
    if reason is not None:
        return reason
    if not 200 <= answer.status < 300:
        return "Response to preflight request doesn't have HTTP ok status"
    allowed = _words(answer.headers, "access-control-allow-headers")
    for name in wanted:
        if name not in allowed and ("*" not in allowed or name == "authorization"):
            return f"Request header field {name} is not allowed by Access-Control-Allow-Headers"
    return None


def _words(headers: Mapping[str, str], name: str) -> set[str]:
    return {word.strip().lower() for word in headers.get(name, "").split(",")} - {""}


def extra_headers(case: Case) -> list[str]:
    """Headers of the user's that make browsers ask first."""
    return sorted(name.lower() for name in case.headers if name.lower() not in _SAFE_HEADERS)


async def origins(case: Case) -> None:
    """The verdict for pages of ``case.origin``."""
    origin = case.origin
    if origin is None:
        return
    if origin == case.place.origin:
        case.findings.add("origin", "info", f"{origin} is the server's own origin: no CORS needed")
    _mixed_content(case, origin)
    try:
        if case.polling:
            await _polling(case, origin)
        if case.websocket:
            await _websocket(case, origin)
    except NoAnswer as reason:
        case.findings.add(
            "origin",
            "problem",
            f"Requests with Origin {origin} are not answered: {reason}",
            "A firewall or proxy drops requests of pages.",
            "Look into its log.",
        )


def _mixed_content(case: Case, origin: str) -> None:
    if not origin.startswith("https:") or case.place.secure:
        return
    if case.place.host in ("localhost", "127.0.0.1", "::1"):
        return
    case.findings.add(
        "origin",
        "problem",
        f"Pages of {origin} cannot use {case.place.origin}",
        "Browsers block http and ws in pages that came over https (mixed content).",
        "Serve the server over https, and connect to that.",
    )


async def _polling(case: Case, origin: str) -> None:
    async with case.visitor() as visitor:
        wanted = extra_headers(case)
        asked = await visitor.request(
            "OPTIONS",
            visitor.engine("polling"),
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": ", ".join(wanted or ["content-type"]),
            },
        )
        answer = await visitor.handshake({"Origin": origin})
        opened = read_open(answer)
        if opened is not None:
            await visitor.leave(opened.sid)
    plain = blocked(origin, answer.headers, credentials=False)
    credentials = blocked(origin, answer.headers, credentials=True)
    preflight = preflight_blocked(origin, asked, wanted or ["content-type"])
    data = {
        "origin": origin,
        "http_status": answer.status,
        "headers": {
            name.lower(): answer.headers.getall(name)
            for name in dict.fromkeys(answer.headers)
            if name.lower().startswith("access-control-") or name.lower() == "vary"
        },
        "blocked": plain,
        "blocked_with_credentials": credentials,
        "preflight_status": asked.status,
        "preflight_blocked": preflight,
    }
    if answer.status in (400, 403) and answer.refusal is not None:
        case.findings.add(
            "origin",
            "problem",
            f"Long-polling from {origin}: refused with {answer.status}",
            _why_refused(case, origin, answer.refusal.message),
            f'{_host_cure(case, origin)} it: origins=["{origin}"] '
            f'(Node: cors: {{ origin: ["{origin}"] }}).',
            data=data,
        )
        return
    if origin == case.place.origin:
        return
    if plain is not None:
        case.findings.add(
            "origin",
            "problem",
            f"Long-polling from {origin}: browsers block it",
            f"“{plain}.”",
            _cure(origin, plain),
            data=data,
        )
        return
    if case.affinity and credentials is not None:
        case.findings.add(
            "origin",
            "problem",
            f"Long-polling from {origin}: requests lose their session",
            f"Stickiness needs the cookie {' or '.join(case.affinity)}, and browsers do not send "
            f"it: “{credentials}.”",
            f'Name the origin and allow credentials: cors={{"origins": ["{origin}"], '
            '"credentials": True}, and connect with withCredentials: true.',
            data=data,
        )
        return
    if wanted and preflight is not None:
        case.findings.add(
            "origin",
            "problem",
            f"Long-polling from {origin} with {', '.join(wanted)}: browsers block it",
            f"The preflight is answered {asked.status}: “{preflight}.”",
            f"Allow the headers: cors allowed_headers={wanted} (Node: allowedHeaders), and let "
            "proxies pass OPTIONS requests on.",
            data=data,
        )
        return
    limits: list[str] = []
    if credentials is not None:
        limits.append("not with credentials")
    if not wanted and preflight is not None:
        limits.append("not with extraHeaders")
    case.findings.add(
        "origin",
        "ok",
        f"Long-polling from {origin}: browsers allow it"
        + (f" ({' and '.join(limits)})" if limits else ""),
        data=data,
    )


def _why_refused(case: Case, origin: str, message: str) -> str:
    if origin == case.place.origin:
        return (
            "The page comes from the same address, but the server sees another one: a proxy "
            f"changes the header Host. The server says “{message}”"
        )
    return f"The server does not admit this origin: “{message}”"


def _host_cure(case: Case, origin: str) -> str:
    if origin == case.place.origin:
        return "Let the proxy pass Host on (nginx: proxy_set_header Host $http_host;), or add"
    return "Add"


def _cure(origin: str, reason: str) -> str:
    if "multiple values" in reason:
        return "Proxy and server both add the header: let only one of them do it."
    if "not equal" in reason:
        return (
            f'Add "{origin}" to the origins of the server (Node: cors.origin), spelt as browsers '
            "do: scheme, host and port, no slash at the end. If the value is another client's "
            "origin, a cache keeps answers: send Vary: Origin, and do not cache the path."
        )
    return (
        f'Let the server admit the origin: origins=["{origin}"] (Node: cors: {{ origin: '
        f'["{origin}"] }}); a proxy must pass the header on.'
    )


async def _websocket(case: Case, origin: str) -> None:
    async with case.visitor() as visitor:
        try:
            socket = await visitor.websocket(headers={"Origin": origin})
        except NotOpened as refused:
            answer = refused.answer
            refusal = answer.refusal
            told = refusal.message if refusal else answer.excerpt
            case.findings.add(
                "origin",
                "problem",
                f"WebSocket from {origin}: refused with {answer.status}",
                "The server, or a proxy, checks the origin; CORS headers do not matter for "
                "WebSockets." + (f" It says “{told}”" if told else ""),
                f'{_host_cure(case, origin)} it: origins=["{origin}"], or to the proxy\'s list.',
                origin=origin,
                http_status=answer.status,
            )
            return
        await socket.close()
    case.findings.add(
        "origin",
        "ok",
        f"WebSocket from {origin}: the server admits it",
        origin=origin,
        http_status=101,
    )
