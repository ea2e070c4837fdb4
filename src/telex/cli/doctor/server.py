"""Whether an engine answers under the path, which revisions it speaks, and where it is else."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from ..place import Place
from .case import Case, intermediary
from .wire import Answer, NoAnswer, Open, Visitor, read_open

_SCRIPT = re.compile(
    r"""["'(]([^"'()\s]*?)/socket\.io(?:\.msgpack|\.esm)?(?:\.slim)?(?:\.min)?\.js["')]"""
)
_PATH_OPTION = re.compile(r"""["']?\bpath["']?\s*:\s*["'](/[\w./-]{1,80})["']""")
_USUAL = ("/socket.io", "/api/socket.io", "/ws/socket.io", "/ws", "/engine.io")
_MOST_TRIED = 8

_GATEWAY = {
    502: "The proxy cannot reach the server behind it, or the server broke off.",
    503: "The proxy has no server to send the request to, or the server is overloaded.",
    504: "The server behind the proxy did not answer in time.",
}


async def find_engine(case: Case) -> bool:
    """Whether there is an engine to examine; sets ``revision`` and what it offers."""
    async with case.visitor() as visitor:
        try:
            answer = await visitor.handshake()
        except NoAnswer as reason:
            found = await _no_http(case, visitor, str(reason))
        else:
            case.intermediary = intermediary(answer.headers)
            found = answer if _is_engine(answer) else await _elsewhere(case, visitor, answer)
        return found is not None and await _revisions(case, visitor, found)


def _is_engine(answer: Answer) -> bool:
    return read_open(answer) is not None or answer.refusal is not None


async def _no_http(case: Case, visitor: Visitor, reason: str) -> Answer | None:
    """Nothing came: perhaps the port speaks TLS, or nobody cares for this path."""
    place = case.place
    silent = reason.startswith("no answer within")
    found = await _search(case, visitor, None) if silent else None
    if found is not None:
        return _found(case, visitor, *found, f"gives {reason}", {"reason": reason})
    cause, cure = (
        "The server is stuck, or nothing on it cares for this path.",
        "Look into the log of the server; if it has a path of its own, give it with --path.",
    )
    if not place.secure and not silent:
        cause = "The port may speak TLS rather than plain HTTP, or belong to something else."
        cure = f"Try https:// ({place.origin.replace('http', 'https', 1)}), or check the port."
    case.findings.unreachable(
        "server", f"No HTTP answer from {place.authority}: {reason}", cause, cure, reason=reason
    )
    return None


async def _search(
    case: Case, visitor: Visitor, answer: Answer | None
) -> tuple[Place, Answer] | None:
    """The place at which an engine answers instead, and what it said."""

    async def ask(place: Place) -> Answer | None:
        url = place.url({"EIO": "4", "transport": "polling"})
        try:
            return await visitor.request("GET", url, timeout=_patience(visitor))
        except NoAnswer:
            return None

    paths = await _candidates(case, visitor, answer)
    places = [replace(case.place, slash=False), *[replace(case.place, path=one) for one in paths]]
    answers = await asyncio.gather(*[ask(place) for place in places])
    for place, other in zip(places, answers, strict=True):
        if other is not None and _is_engine(other):
            return place, other
    return None


def _patience(visitor: Visitor) -> float:
    return min(visitor.timeout, 3.0)


def _found(
    case: Case, visitor: Visitor, place: Place, answer: Answer, said: str, data: dict[str, object]
) -> Answer:
    """Note that the engine is somewhere else, and go on there."""
    path = place.path
    if not place.slash:
        case.findings.add(
            "server",
            "problem",
            f"{path}/ {said}, but a Socket.IO server answers under {path}, without the slash",
            "A web framework or proxy removes the slash at the end of paths.",
            "Let it leave the path as it is (Next.js: skipTrailingSlashRedirect: true), or let "
            "clients leave the slash out: addTrailingSlash: false (telex: "
            "add_trailing_slash=False). The examination goes on without it.",
            found=path,
            data=data,
        )
    else:
        case.findings.add(
            "server",
            "problem",
            f"{case.place.path}/ {said}, but a Socket.IO server answers under {path}/",
            "Client and server disagree about the path, or a proxy adds a prefix to it.",
            f'Connect with path: "{path}" (telex: --path {path}), or configure the server '
            f'with path "{case.place.path}". The examination goes on under {path}.',
            found=f"{path}/",
            data=data,
        )
    case.move(place)
    visitor.place = place
    return answer


async def _elsewhere(case: Case, visitor: Visitor, answer: Answer) -> Answer | None:
    """Something else answered: say what, and look for the engine under other paths."""
    place, said = case.place, _described(answer)
    where = f"{place.path}/"
    data: dict[str, object] = {
        "http_status": answer.status,
        "content_type": answer.headers.get("content-type"),
        "excerpt": answer.excerpt,
        "before_it": case.intermediary or None,
    }
    behind = f" (from {case.intermediary})" if case.intermediary else ""
    if answer.status in _GATEWAY:
        case.findings.unreachable(
            "server",
            f"{where} answers {answer.status}{behind}",
            _GATEWAY[answer.status],
            "Start the server, compare its address and port with the proxy's settings, and read "
            "the proxy's error log.",
            data=data,
        )
        return None
    if 300 <= answer.status < 400:
        bare = replace(case.place, slash=False)
        if urlsplit(answer.headers.get("location", "")).path == bare.path:
            found = await _search(case, visitor, answer)
            if found is not None and found[0] == bare:
                return _found(case, visitor, *found, f"answers {answer.status}", data)
        target = urljoin(answer.url, answer.headers.get("location", ""))
        parts = urlsplit(target)
        home = f"{parts.scheme}://{parts.netloc}"
        case.findings.unreachable(
            "server",
            f"{where} redirects to {target}",
            "Socket.IO clients do not follow redirects of WebSockets, and browsers not those of "
            "other origins.",
            f"Connect to {home} itself." if parts.netloc else "Remove the redirect for this path.",
            location=target,
            data=data,
        )
        return None
    if answer.status in (401, 407):
        case.findings.unreachable(
            "server",
            f"{where} answers {answer.status}{behind}",
            "Something before the server asks for a password or token.",
            "Give it with --header 'Authorization: …'; browsers send it only with credentials.",
            data=data,
        )
        return None
    if "plain HTTP request" in answer.text or "HTTP request to an HTTPS" in answer.text:
        case.findings.unreachable(
            "server",
            f"{place.authority} speaks TLS",
            "A plain HTTP request came to a port for HTTPS.",
            f"Use {place.origin.replace('http', 'https', 1)}.",
            data=data,
        )
        return None
    found = await _search(case, visitor, answer)
    if found is not None:
        return _found(case, visitor, *found, f"answers {said}", data)
    case.findings.unreachable(
        "server",
        f"No Socket.IO server under {where}: it answers {said}",
        "A page of the web application answers instead of the engine."
        if answer.is_html
        else "Something answers, but it does not speak Engine.IO.",
        "Check the port, and that the Socket.IO server is attached to the server that listens "
        "there; behind a proxy, let it pass on the path unchanged; if the server has a path of "
        "its own, give it with --path.",
        data=data,
    )
    return None


def _described(answer: Answer) -> str:
    if answer.is_html:
        return f"{answer.status} with an HTML page"
    excerpt = f" “{answer.excerpt[:60]}”" if answer.excerpt else " without a body"
    return f"{answer.status}{excerpt}"


async def _candidates(case: Case, visitor: Visitor, answer: Answer | None) -> list[str]:
    """Paths under which the engine may be: hints first, then the usual ones."""
    found: list[str] = []
    prefix = case.place.namespace.rstrip("/")
    while prefix:
        if prefix.endswith(("/socket.io", "/engine.io")):
            found.append(prefix)
        found.append(f"{prefix}/socket.io")
        prefix = prefix.rpartition("/")[0]
    pages = [] if answer is None else [answer]
    try:
        root = visitor.place.url(path="/")
        pages.append(await visitor.request("GET", root, timeout=_patience(visitor)))
    except NoAnswer:
        pass
    hints: list[str] = []
    for page in pages:
        for match in _SCRIPT.finditer(page.text):
            parts = urlsplit(urljoin(page.url, match[1]))
            if parts.netloc == case.place.authority:
                hints.append(parts.path)
        hints += [match[1] for match in _PATH_OPTION.finditer(page.text)]
    paths = [path.rstrip("/") for path in (*hints, *found, *_USUAL)]
    tried = [path for path in dict.fromkeys(paths) if path and path != case.place.path]
    return tried[:_MOST_TRIED]


async def _revisions(case: Case, visitor: Visitor, first: Answer) -> bool:
    """Ask for both revisions; go on with the newest that is served."""
    offered: dict[int, Open] = {}
    refused: dict[int, str] = {}
    answers = {4: first}
    visitor.revision = 3
    try:
        answers[3] = await visitor.handshake()
    except NoAnswer as reason:
        refused[3] = str(reason)
    for revision, answer in answers.items():
        opened = read_open(answer)
        if opened is None:
            refused[revision] = answer.refusal.message if answer.refusal else _described(answer)
            continue
        visitor.revision = opened.revision
        await visitor.leave(opened.sid)
        offered[opened.revision] = opened
    if 4 not in offered and 3 in offered and first.status == 200:
        refused[4] = "answered in revision 3"
    newest = max(offered, default=None)
    if newest is None:
        return _refused(case, first)
    case.revision = newest
    case.opened = offered[newest]
    case.polling = True
    _say_server(case, first)
    _say_revisions(case, offered, refused)
    return True


def _say_server(case: Case, answer: Answer) -> None:
    place = case.place
    behind = f" (behind {case.intermediary})" if case.intermediary else ""
    case.findings.add(
        "server",
        "ok",
        f"An Engine.IO server answers under {place.path}/{behind}",
        url=place.url(),
        server=answer.headers.get("server"),
        before_it=case.intermediary or None,
    )


def _say_revisions(case: Case, offered: dict[int, Open], refused: dict[int, str]) -> None:
    data: dict[str, object] = {
        "offered": sorted(offered, reverse=True),
        "refused": {str(key): reason for key, reason in refused.items() if key not in offered},
    }
    if 4 not in offered:
        case.findings.add(
            "revisions",
            "warning",
            "Engine.IO 3 only: a server of Socket.IO 2 (or older)",
            "JavaScript clients of 3.x and 4.x cannot connect; they say “It seems you are trying "
            "to reach a Socket.IO server in v2.x with a v3.x client”.",
            "Use a client of 2.x (telex: protocol=4, --protocol 4), or bring the server up to 4.x.",
            data=data,
        )
    elif 3 in offered:
        case.findings.add(
            "revisions", "ok", "Engine.IO 4 and 3: clients of Socket.IO 1.x to 4.x", data=data
        )
    else:
        case.findings.add(
            "revisions",
            "ok",
            "Engine.IO 4: clients of Socket.IO 3.x and 4.x (those of 1.x and 2.x are refused)",
            cure="For old clients: allow_eio3=True (Node: allowEIO3: true).",
            data=data,
        )


def _refused(case: Case, answer: Answer) -> bool:
    """An engine that opens no polling session; without polling, WebSockets may do."""
    refusal = answer.refusal
    code, message = (refusal.code, refusal.message) if refusal else (-1, _described(answer))
    data = {"http_status": answer.status, "code": code, "message": message}
    if code == 0:
        _say_server(case, answer)
        case.findings.add(
            "polling",
            "warning",
            "Long-polling is not offered",
            f"The server answers “{message}”: its transports do not include polling.",
            'Clients must begin with WebSocket: transports: ["websocket"] (telex: '
            "--transport websocket); or allow polling on the server.",
            data=data,
        )
        return True
    if code == 4 or answer.status in (401, 403):
        cause = f"The server lets nobody in who comes like this: “{message}”."
        cure = (
            "Give what its allow_request (allowRequest) looks for, such as --header "
            "'Authorization: …', --header 'Cookie: …' or --query token=…."
        )
        if "origin" in message.lower():
            cure = "Add the origin to the server's origins (Node: cors.origin), or give --origin."
    elif code == 5:
        cause = f"The server answers “{message}” to revision 4 and to revision 3."
        cure = "Bring the server or the proxy that rewrites the query up to date."
    else:
        cause = f"The server answers {answer.status} “{message}” to a correct handshake."
        cure = "Look into the log of the server; check that no proxy rewrites method or query."
    case.findings.add("polling", "problem", "The handshake is refused", cause, cure, data=data)
    return False
