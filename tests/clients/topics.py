"""What a Socket.IO server does, topic by topic, as its JavaScript clients see it.

Each topic is a function of a `Site`: which server, which generation of clients, which transport.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.clients.javascript import Client, Generation, JavaScript, Transport

ARGUMENTS: list[list[object]] = [
    [],
    [None],
    [""],
    [0],
    [True, False],
    [1, -2, 3.5, 1e-7, 2**53 - 1, -(2**53) + 1],
    ["one", 2, None, {"three": [3, {"four": [[], {}, None, ""]}]}, ["five"]],
    [{"": {"_placeholder": False, "num": 0}}],
    ['quote " backslash \\ line\nfeed \u0000\u001e\u2028 end'],
]

LINE = "2031-07-01 12:00:00 INFO 用户“小明”说：你好，世界！ привет naïve café 🚀👩‍👩‍👧‍👦 — ok\n"

TEXTS = [
    "你好，世界",
    "😀",
    "👩‍👩‍👧‍👦🇫🇷🤷🏽‍♀️",
    "café",
    "Ærø, ß, ñ, ÿ",
    # As bytes, the last two characters would be UTF-8: plain text is not to be taken for text
    # that 1.x has encoded twice.
    "NESCAFÉ®",
    "LIBERTÉ\u00a0!",
    "Привет",
    "مرحبا",
    "日本語テキスト",
    "𝒳 \U0010ffff \u0080\u07ff\u0800\uffff",
    f"<p>{'a' * 1000}中{'b' * 1000}😀</p>",
    LINE * 300,
]

BINARIES: list[list[object]] = [
    [b"\x00\x01\x02\xff"],
    [b""],
    [bytes(range(256)) * 300],
    ["before", b"one", {"list": [1, [b"two", None], {"deep": b"three"}]}, "after"],
    [{"名前": "файл 😀.bin", "content": b"\xf0\x9f\x98\x80", "empty": b""}],
    [[b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h", b"i", b"j"]],
]


@dataclass(frozen=True)
class Site:
    """Where a topic is tried."""

    javascript: JavaScript
    transport: Transport
    url: str
    path: str = "/socket.io"
    force_jsonp: bool = False

    @property
    def generation(self) -> Generation:
        return self.javascript.generation

    @property
    def old(self) -> bool:
        """Whether the clients speak Engine.IO 3 and Socket.IO protocol 4."""
        return self.generation < 3

    def open(self, namespace: str = "/", **options: Any) -> Client:
        if self.force_jsonp:
            options["forceJSONP"] = True
        return self.javascript.open(
            self.url, transport=self.transport, path=self.path, namespace=namespace, **options
        )

    def join(self, namespace: str = "/", **options: Any) -> Client:
        """A client that has connected and, where this is about the upgrade, been upgraded."""
        client = self.open(namespace, **options)
        assert client.next("connect") == []
        if self.transport == "upgrade":
            client.upgraded()
        return client

    def quiet(self, client: Client) -> None:
        """Let everything arrive that the server has sent so far."""
        client.call("answer")


def connect(site: Site) -> None:
    """A client connects, over the transport it asks for; both sides know it by the same id."""
    client = site.join()
    assert client.next("welcome") == ["/"]
    [who] = client.call("who")
    assert who == {
        "id": client.id,
        "namespace": "/",
        "transport": "polling" if site.transport == "polling" else "websocket",
        "protocol": 3 if site.old else 4,
    }
    assert client.state["transport"] == who["transport"]


def events(site: Site) -> None:
    """Arguments of every JSON type arrive as they were sent, in both directions."""
    client = site.join()
    for arguments in ARGUMENTS:
        client.emit("echo", *arguments)
        assert client.next("echo") == arguments


def order(site: Site) -> None:
    """Events keep their order and none is lost, from before the connection is up and during the
    upgrade on."""
    client = site.open()
    for number in range(40):
        client.emit("number", number)
    client.emit("push", 200)
    if site.transport == "upgrade":
        client.upgraded()
    for number in range(40, 60):
        client.emit("number", number)
    assert client.call("numbers") == [list(range(60))]
    assert [client.next("number") for _ in range(200)] == [[number] for number in range(200)]


def server_acks(site: Site) -> None:
    """The server acknowledges events: with a return value, by an acknowledgement function."""
    client = site.join()
    for arguments in ARGUMENTS:
        assert client.call("answer", *arguments) == arguments
        assert client.call("answer by function", *arguments) == arguments


def client_acks(site: Site) -> None:
    """Clients acknowledge events: the server awaits it, takes a callback, gives up in time."""
    client = site.join()
    for arguments in ARGUMENTS[1:]:
        for event in ("ask", "ask by callback"):
            client.emit(event, *arguments)
            assert client.next("question") == arguments
            assert client.next("answered") == [arguments]

    silent = site.join(answers={"question": None})
    silent.emit("ask in vain")
    assert silent.next("unanswered") == [True]


def text(site: Site) -> None:
    """Text in every script arrives unharmed, whatever was said on the connection before."""
    for text in TEXTS:
        client = site.join()
        client.emit("echo", text)
        assert client.next("echo") == [text]
        client.forget()  # browsers allow few connections to a server
    client = site.join()
    for text in TEXTS:
        client.emit("quote", text)
        assert client.next("quoted") == [f"/ 说: «{text}» 🙂"]
        client.emit("echo", {text: [text]}, "ascii")
        assert client.next("echo") == [{text: [text]}, "ascii"]


def text_acks(site: Site) -> None:
    """Text in every script arrives unharmed in acknowledgements, too."""
    client = site.join()
    for text in TEXTS:
        assert client.call("answer", text, [text]) == [text, [text]]
        client.emit("ask", text)
        assert client.next("question") == [text]
        assert client.next("answered") == [[text]]


def binary(site: Site) -> None:
    """Bytes arrive as bytes at any depth, several of them, empty ones, beside text."""
    client = site.join()
    for arguments in BINARIES:
        client.emit("echo", *arguments)
        assert client.next("echo") == arguments


def binary_acks(site: Site) -> None:
    """Bytes arrive in acknowledgements of both sides."""
    client = site.join()
    for arguments in BINARIES:
        assert client.call("answer", *arguments) == arguments
        client.emit("ask", *arguments)
        assert client.next("question") == arguments
        assert client.next("answered") == [arguments]


def rooms(site: Site) -> None:
    """A broadcast reaches the members of a room and nobody else, binary and text alike."""
    ana, ben, eve = site.join(), site.join(), site.join()
    assert ana.call("join", "room") == [True]
    assert ben.call("join", "room") == [True]
    assert eve.call("join", "elsewhere") == [True]

    eve.emit("tell room", "room", "all 在 room", {"bytes": b"\x01"})
    assert ana.next("told") == ["all 在 room", {"bytes": b"\x01"}]
    assert ben.next("told") == ["all 在 room", {"bytes": b"\x01"}]
    ana.emit("tell others", "room", "not myself")
    assert ben.next("told") == ["not myself"]
    ana.emit("tell room except", "room", ana.id, "not ana")
    assert ben.next("told") == ["not ana"]
    assert ben.call("leave", "room") == [True]
    eve.emit("tell room", "room", "who is left")
    assert ana.next("told") == ["who is left"]
    eve.emit("tell room", ben.id, "ben alone")
    assert ben.next("told") == ["ben alone"]

    for client in (ana, ben, eve):
        site.quiet(client)
        assert client.state["history"].count("told") == {ana: 2, ben: 4, eve: 0}[client]


def broadcast(site: Site) -> None:
    """A broadcast of a socket reaches the others, one of the namespace everybody."""
    ana, ben = site.join("/chat"), site.join("/chat")
    elsewhere = site.join("/")
    ana.emit("broadcast", "to the others")
    assert ben.next("told") == ["to the others"]
    ana.emit("tell all", "to all")
    assert ana.next("told") == ["to all"]
    assert ben.next("told") == ["to all"]
    site.quiet(elsewhere)
    assert "told" not in elsewhere.state["history"]


def namespace(site: Site) -> None:
    """A namespace has sockets and events of its own, over a connection it shares."""
    chat = site.join("/chat")
    assert chat.next("welcome") == ["/chat"]
    [who] = chat.call("who")
    assert who["namespace"] == "/chat"
    [in_root] = chat.call("sockets in", "/")
    if site.old:
        # Socket.IO 1 and 2: every connection is in `/` as well, under the connection's id.
        name, _, connection_id = who["id"].partition("#")
        assert name == "/chat"
        assert connection_id in in_root
    else:
        assert who["id"] == chat.id
        assert chat.id not in in_root
    chat.emit("quote", "早")
    assert chat.next("quoted") == ["/chat 说: «早» 🙂"]
    assert chat.call("answer", b"binary", 1) == [b"binary", 1]
    chat.emit("ask", "anything?")
    assert chat.next("answered") == [["anything?"]]

    guarded = site.javascript.share(chat, "/guarded", auth=None)
    refusal = guarded.next("error" if site.old else "connect_error")
    assert len(refusal) == 1
    assert chat.call("answer", "still here") == ["still here"]


def two_namespaces(site: Site) -> None:
    """Leaving one namespace leaves the other alone."""
    root = site.join()
    chat = site.javascript.share(root, "/chat")
    chat.next("connect")
    [who] = chat.call("who")
    chat.emit("echo", "in chat")
    assert chat.next("echo") == ["in chat"]
    chat.disconnect()
    assert chat.next("disconnect") == ["io client disconnect"]
    assert root.call("fate of", who["id"]) == ["client namespace disconnect", []]
    assert root.call("answer", "in root") == ["in root"]
    assert "echo" not in root.state["history"]
    chat.connect()
    chat.next("connect")
    assert chat.call("answer", "back") == ["back"]


def namespaces_at_once(site: Site) -> None:
    """Several namespaces are asked for before the connection is up."""
    chat = site.open("/chat", autoConnect=False)
    root = site.javascript.share(chat, "/")
    nowhere = site.javascript.share(chat, "/nowhere")
    guarded = site.javascript.share(chat, "/guarded")
    for client in (root, chat, nowhere, guarded):
        client.connect()
    chat.emit("echo", "from chat")
    root.emit("echo", "from root")
    for client, name in ((chat, "chat"), (root, "root")):
        assert client.next("connect") == []
        assert client.next("echo") == [f"from {name}"]
    for refused in (nowhere, guarded):
        assert refused.next("error" if site.old else "connect_error")
        assert not refused.state["connected"]


def client_disconnect(site: Site) -> None:
    """A client leaves; the others learn why, and in which rooms it had been."""
    client, witness = site.join(), site.join()
    client.call("join", "room")
    client.call("join", "another room")
    [who] = client.call("who")
    client.disconnect()
    assert client.next("disconnect") == ["io client disconnect"]
    assert not client.state["connected"]
    # Socket.IO 1 and 2 close the connection with the last socket, at once.
    assert witness.call("fate of", who["id"]) == [
        "client namespace disconnect",
        ["another room", "room"],
    ]


def server_disconnect(site: Site) -> None:
    """The server ends a socket; the client may connect again."""
    client, witness = site.join(), site.join()
    [who] = client.call("who")
    client.emit("throw me out")
    assert client.next("disconnect") == ["io server disconnect"]
    assert witness.call("fate of", who["id"]) == ["server namespace disconnect", []]
    # The client closes its connection with its last socket; 3.x would close a new one instead
    # if it were asked to connect before that is done.
    client.closed()
    client.connect()
    assert client.next("connect") == []
    assert client.call("answer", "again") == ["again"]


def server_close(site: Site) -> None:
    """The server ends a connection, all namespaces with it."""
    root, witness = site.join(), site.join()
    chat = site.javascript.share(root, "/chat")
    chat.next("connect")
    ids = [client.call("who")[0]["id"] for client in (root, chat)]
    chat.emit("close my connection")
    assert root.next("disconnect") == ["io server disconnect"]
    assert chat.next("disconnect") == ["io server disconnect"]
    for socket_id in ids:
        assert witness.call("fate of", socket_id) == ["server namespace disconnect", []]


def server_disconnect_at_once(site: Site) -> None:
    """The server ends a socket, or its connection, as soon as it has connected."""
    witness = site.join()
    for namespace in ("/thrown-out", "/cut-off"):
        client = site.open(namespace)
        assert client.next("connect") == []
        assert client.next("welcome") == [namespace]
        assert client.next("disconnect") == ["io server disconnect"]
        client.closed()
        assert witness.call("sockets in", namespace) == [[]]


def client_close(site: Site) -> None:
    """The connection is closed below the sockets, by the client."""
    client, witness = site.join(), site.join()
    [who] = client.call("who")
    client.close()
    assert client.next("disconnect") == ["forced close"]
    assert witness.call("fate of", who["id"]) == ["transport close", []]


def connection_lost(site: Site) -> None:
    """The client's process dies."""
    witness = site.join()
    with JavaScript(site.generation) as doomed:
        client = Site(doomed, site.transport, site.url, site.path).join()
        [who] = client.call("who")
        if site.transport == "polling":
            client.polling()
        doomed.program.kill()
    # A pending poll that is cut is an error of the transport, a cut WebSocket is its end.
    reason = "transport error" if site.transport == "polling" else "transport close"
    assert witness.call("fate of", who["id"]) == [reason, []]


def refusal(site: Site) -> None:
    """A middleware refuses: the client learns the message and the data, and lets others in."""
    data = {"code": 401, "hint": "la clé, 请"}
    stranger = site.open("/guarded")
    closed = site.open("/closed")
    if site.old:
        # Protocol 4 has room for one of them: the data, or else the message.
        assert stranger.next("error") == [data]
        assert closed.next("error") == ["closed for today"]
    else:
        assert stranger.next("connect_error") == [{"message": "not authorized", "data": data}]
        assert closed.next("connect_error") == [{"message": "closed for today"}]
    assert not stranger.state["connected"]

    token = {"token": "let me in"}
    guest = site.join("/guarded", **({"query": token} if site.old else {"auth": token}))
    assert guest.next("welcome") == ["/guarded"]
    assert guest.call("answer", "inside") == ["inside"]


def unknown_namespace(site: Site) -> None:
    """A namespace that does not exist is refused by name of the error."""
    client = site.open("/nowhere")
    if site.old:
        assert client.next("error") == ["Invalid namespace"]
    else:
        assert client.next("connect_error") == [{"message": "Invalid namespace"}]
    assert not client.state["connected"]


Topic: TypeAlias = Callable[[Site], None]

TOPICS: tuple[Topic, ...] = (
    connect,
    events,
    order,
    server_acks,
    client_acks,
    text,
    text_acks,
    binary,
    binary_acks,
    rooms,
    broadcast,
    namespace,
    two_namespaces,
    namespaces_at_once,
    client_disconnect,
    server_disconnect,
    server_disconnect_at_once,
    server_close,
    client_close,
    connection_lost,
    refusal,
    unknown_namespace,
)
