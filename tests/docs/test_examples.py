"""Every Python example of the documentation is run, most of them by real clients.

An example is all Python blocks under one heading. Whoever writes one adds a function here, under
``@runs(page, heading)``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pytest

from telex import Server
from tests.docs.hosting import hosted
from tests.docs.pages import Block, execute, pages, read
from tests.features.scripts import Site
from tests.test_logging import LINE, shown_by

Example: TypeAlias = tuple[str, str]
Runner: TypeAlias = Callable[[list[Block], Site], Awaitable[None]]

RUNNERS: dict[Example, Runner] = {}


def runs(page: str, heading: str) -> Callable[[Runner], Runner]:
    """Register what runs an example."""

    def register(runner: Runner) -> Runner:
        RUNNERS[page, heading] = runner
        return runner

    return register


def blocks(page: str, heading: str, language: str) -> list[Block]:
    """The blocks of a language under a heading."""
    found = read(page).blocks
    return [block for block in found if (block.heading, block.language) == (heading, language)]


def examples() -> list[Example]:
    """Every heading that has a Python block below it."""
    found = [block for name in pages() for block in read(name).blocks]
    return sorted({(b.page, b.heading) for b in found if b.language == "python"})


@pytest.mark.parametrize("example", examples(), ids=": ".join)
async def test_example(example: Example, site: Site) -> None:
    assert example in RUNNERS, "nobody runs this example: write a function under @runs here"
    await RUNNERS[example](blocks(*example, "python"), site)


def test_every_runner_has_its_example() -> None:
    assert set(RUNNERS) <= set(examples())


@runs("README.md", "Ten lines")
async def ten_lines(examples: list[Block], site: Site) -> None:
    """The server, and the page beside it: its script runs as it is."""
    [server] = examples
    [html] = blocks("README.md", "Ten lines", "html")
    io: Server = (await execute(server))["io"]
    page = await site.page(io)
    source = html.text.partition('<script src="')[2].partition('"')[0]
    script = html.text.partition("<script>")[2].partition("</script>")[0]
    assert await page.run(f"""
        const logged = [];
        const run = (io, console) => {{ {script} }};
        run(() => open(), {{ log: (text) => logged.push(text) }});
        while (logged.length < 2) await sleep(2);
        return [(await request("{source}")).status, logged];
    """) == [200, ["hello", "delivered"]]


@runs("README.md", "Beside your application")
async def beside_an_application(examples: list[Block], site: Site) -> None:
    [example] = examples
    app = (await execute(example))["app"]

    def hello() -> str:
        return "hello"

    app.get("/hello")(hello)
    async with hosted(app, site) as page:
        assert await page.run("""
            const socket = await connect();
            const kept = await request("/socket.io/?EIO=4&transport=polling",
              { headers: { Origin: "https://app.example" } });
            const refused = await request("/socket.io/?EIO=4&transport=polling",
              { headers: { Origin: "https://other.example" } });
            const hello = await request("/hello");
            return [socket.connected, kept.status, refused.status, hello.text];
        """) == [True, 200, 403, '"hello"']


@runs("README.md", "The client")
async def the_client(examples: list[Block], site: Site) -> None:
    """Both scripts, as programs of their own, with the server of the first example."""
    [server] = blocks("README.md", "Ten lines", "python")
    io: Server = (await execute(server))["io"]
    await io.listen(port=0)
    try:
        asynchronous, blocking = [
            await run_script(each, f"127.0.0.1:{io.port}") for each in examples
        ]
    finally:
        await io.close()
    assert asynchronous == ["delivered chat ['hello']"]
    # Two threads print: the ends of their lines may come together.
    assert "".join(blocking) in ("deliveredhello", "hellodelivered")


FRAMEWORKS = "docs/frameworks.md"

CHAT = """
    const ana = await connect();
    const ben = await connect("/", { transports: ["polling"] });
    const heard = once(ben, "chat");
    const answer = await new Promise((resolve) => ana.emit("chat", "hello", resolve));
    return [await heard, answer];
"""
CHATTED = [["hello"], "delivered"]


@runs(FRAMEWORKS, "FastAPI")
async def fastapi(examples: list[Block], site: Site) -> None:
    [example] = examples
    async with hosted((await execute(example))["app"], site) as page:
        assert await page.run(CHAT) == CHATTED
        assert await page.run(ANNOUNCED, path="/announce?text=hello") == [200, ["hello"]]


@runs(FRAMEWORKS, "Threads")
async def threads(examples: list[Block], site: Site) -> None:
    [example] = examples
    page = await site.page((await execute(example))["io"])
    assert await page.run("""
        const ana = await connect();
        ana.on("are you sure?", (number, answer) => answer(number === 1));
        return [await ana.emitWithAck("order", 1), await ana.emitWithAck("order", 2)];
    """) == ["ordered", "forgotten"]


ANNOUNCED = """
    const ana = await connect();
    const heard = once(ana, "chat");
    const { status } = await request(path, { method: "POST" });
    return [status, await heard];
"""


@runs(FRAMEWORKS, "The page")
async def the_page(examples: list[Block], site: Site) -> None:
    """It is served, a missing file is 404, and a client of the page is answered."""
    [example] = examples
    with TemporaryDirectory() as folder:
        (Path(folder) / "index.html").write_text("<!doctype html>")
        app = (await execute(example, {'"public"': repr(folder)}))["io"]
        async with hosted(app, site) as page:
            assert await page.run("""
                const statuses = [];
                for (const path of ["/", "/favicon.ico", "/socket.io/socket.io.js"])
                  statuses.push((await request(path)).status);
                return statuses;
            """) == [200, 404, 200]
            assert await page.run(CHAT) == CHATTED


@runs(FRAMEWORKS, "Starlette")
@runs(FRAMEWORKS, "Litestar")
@runs(FRAMEWORKS, "Quart")
async def in_a_framework(examples: list[Block], site: Site) -> None:
    [example] = examples
    async with hosted((await execute(example))["app"], site) as page:
        assert await page.run(CHAT) == CHATTED


@runs(FRAMEWORKS, "Django")
async def in_front_of_django(examples: list[Block], site: Site) -> None:
    from django import conf

    settings: Any = conf.settings

    [example] = examples
    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(), SECRET_KEY="for this test")
    async with hosted((await execute(example))["app"], site) as page:
        assert await page.run(CHAT) == CHATTED
        assert await page.run('return (await request("/elsewhere")).status') == 404


@runs(FRAMEWORKS, "Flask")
async def in_front_of_flask(examples: list[Block], site: Site) -> None:
    [example] = examples
    async with hosted((await execute(example))["app"], site) as page:
        assert await page.run(CHAT) == CHATTED
        assert await page.run(ANNOUNCED, path="/announce/hello") == [200, ["hello"]]


@runs(FRAMEWORKS, "aiohttp")
async def beside_aiohttp(examples: list[Block], site: Site) -> None:
    [example] = examples
    names = await execute(example._replace(text=example.text.replace("port=3001", "port=0")))
    runner = names["web"].AppRunner(names["app"])
    await runner.setup()
    page = site.page_at(f"http://127.0.0.1:{names['io'].port}")
    try:
        assert await page.run(CHAT) == CHATTED
    finally:
        await page.close()
        await runner.cleanup()


@runs(FRAMEWORKS, "asyncio")
async def on_bare_asyncio(examples: list[Block], site: Site) -> None:
    [example] = examples
    names = await execute(example._replace(text=example.text.replace("port=3000", "port=0")))
    serving = asyncio.create_task(names["main"]())
    async with asyncio.timeout(10):
        while names["io"].port is None:
            await asyncio.sleep(0)
    page = site.page_at(f"http://127.0.0.1:{names['io'].port}")
    try:
        assert await page.run(CHAT) == CHATTED
    finally:
        await page.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def run_script(block: Block, server: str) -> list[str]:
    """Run a script that connects to localhost:3000; the lines that it prints."""
    assert "localhost:3000" in block.text
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-c", block.text.replace("localhost:3000", server)),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    return printed.decode().splitlines()


FROM_PYTHON = "docs/from-python-socketio.md"

LOBBY = """
    const ana = await connect("/", { auth: { token: "secret", name: "ana" } });
    const joined = once(ana, "joined");
    const ben = await connect("/", { auth: { token: "secret", name: "ben" } });
    const said = once(ana, "chat message");
    const answer = await new Promise((resolve) => ben.emit("chat message", "hello", resolve));
    const left = once(ana, "left");
    ben.disconnect();
    const refused = await connect("/", { auth: {} }).catch((error) => error.message);
    return [await joined, await said, answer, await left, refused];
"""
HEARD = [["ben"], [{"from": "ben", "text": "hello"}], "delivered", ["ben"], "not authorized"]


@runs(FROM_PYTHON, "Before")
async def before(examples: list[Block], site: Site) -> None:
    [example] = examples
    names = await execute(example)
    async with hosted(names["app"], site) as page:
        assert await page.run(LOBBY) == HEARD
    await names["sio"].shutdown()


@runs(FROM_PYTHON, "After")
async def after(examples: list[Block], site: Site) -> None:
    [example] = examples
    page = await site.page((await execute(example))["io"])
    assert await page.run(LOBBY) == HEARD


@runs("docs/from-node.md", "The first chapter")
async def the_first_chapter(examples: list[Block], site: Site) -> None:
    [example] = examples
    page = await site.page((await execute(example))["io"])
    assert await page.run("""
        const ana = await connect();
        const ben = await connect();
        const heard = [once(ana, "chat message"), once(ben, "chat message")];
        ana.emit("chat message", "hello");
        return await Promise.all(heard);
    """) == [["hello"], ["hello"]]


LOGGING = "docs/logging.md"


@runs(LOGGING, "Logging")
async def everything_is_shown(examples: list[Block], site: Site) -> None:
    [example] = examples
    lines = await asyncio.to_thread(shown_by, example.text)
    assert any(LINE.match(line) and "opened over" in line for line in lines)
    assert any(LINE.match(line) and 'sending 42["hello"]' in line for line in lines)


@runs(LOGGING, "With `logging.config`")
async def what_an_application_wants_is_shown(examples: list[Block], site: Site) -> None:
    [example] = examples
    [line] = await asyncio.to_thread(shown_by, example.text)
    assert "WARNING telex: origins=[] refuses every page" in line
