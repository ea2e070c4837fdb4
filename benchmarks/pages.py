"""The pages of the documentation: one table for readers, and a page of details."""

from collections.abc import Sequence

from benchmarks.comparison import Outcome
from benchmarks.contenders import FLOOR, NODE, TELEX, Contender
from benchmarks.report import (
    Findings,
    all_verdicts,
    cost_table,
    disturbance,
    figure,
    goal_table,
    other_table,
    sections,
    summary,
    table,
    times,
)

OVERVIEW = {
    "floor": "C floor",
    "socketioxide": "Rust",
    "bun": "Bun",
    "node": "Node",
    "python-socketio": "python-socketio",
    "telex": "telex",
}
"""The columns of the table for readers: names of contenders, and what stands above them."""


def overview_contenders(findings: Findings) -> list[Contender]:
    """The servers of the table and the plots for readers; all, if none of those took part."""
    contenders = list(findings.contenders)
    return [one for one in contenders if one.name in OVERVIEW] or contenders


def overview_table(findings: Findings) -> str:
    """What every shape costs each kind of server; for telex also how many times less than Node."""
    shown = overview_contenders(findings)
    rows = [
        [outcome.shape.title, *(_cell(outcome, contender) for contender in shown)]
        for outcome in findings.outcomes
    ]
    return table(["shape", *(OVERVIEW.get(one.name, one.title) for one in shown)], rows)


def _cell(outcome: Outcome, contender: Contender) -> str:
    # The floor keeps nothing per connection: its memory says nothing.
    if contender.name not in outcome.slices or (contender is FLOOR and outcome.shape.memory):
        return ""
    ratio = outcome.ratio(contender.name, NODE.name) if contender is TELEX else None
    cell = figure(outcome.cost(contender.name).median)
    return f"{cell} ({times(ratio.median)})" if ratio else cell


def _versions(findings: Findings, contenders: Sequence[Contender]) -> str:
    return "\n".join(f"- {one.title}: {findings.versions[one.name]}" for one in contenders)


def _warning(findings: Findings) -> str:
    """A paragraph of its own between others; empty on a quiet machine."""
    found = disturbance(findings)
    return f"\n{found}" if found else ""


def overview(findings: Findings, plots: Sequence[str]) -> str:
    """The page with the table and the plots."""
    surroundings = findings.surroundings
    pictures = "\n\n".join(
        f"![Server CPU time: {heading.lower()}]({plot})"
        for (heading, _), plot in zip(sections(findings), plots, strict=True)
    )
    return f"""# Benchmarks

CPU time that a message costs the server: telex beside socket.io on Node and on Bun,
python-socketio, socketioxide (Rust), and a server in C that makes the same system calls and does
nothing else.
{_warning(findings)}
Server CPU time in µs per message, delivery or connection; memory in bytes per connection. Less is
better. In brackets: how many times less than Node.

{overview_table(findings)}

{pictures}

## Versions

{_versions(findings, overview_contenders(findings))}
- {surroundings.python}; {surroundings.machine}; {surroundings.date}

## More

- [Details](benchmarks-details.md): ratios of all servers, coroutines as handlers, Python versions,
  telex without its compiled part and as a plain ASGI application, goals, method.
- [Performance](performance.md): what the figures mean; latencies, growth, a crowd of clients.
- `make bench` measures on your machine: `make bench BENCH_ARGS=--quick` for a first impression,
  `BENCH_ARGS=--help` for the rest. Bun comes from npm; socketioxide takes part where cargo is
  installed.
"""


def details(findings: Findings) -> str:
    """The page with everything else, and the method."""
    plan, surroundings = findings.plan, findings.surroundings
    found = all_verdicts(findings)
    other = other_table(findings)
    parts = [
        f"""# Benchmarks: details

[benchmarks.md](benchmarks.md) has the table and the plots for readers; this page has the rest.
{_warning(findings)}
## Ratios to Node

In brackets: how many times less than Node.""",
        _cost_tables(findings, overview_contenders(findings)),
        _variants(findings),
        f"## Goals\n\n{summary(found)}",
        goal_table(found) if found else "",
        f"## Comparison with another checkout\n\n{other}" if other else "",
        f"""## Method

- All servers run at once, pinned to one core; the load generator (`benchmarks/load`: raw sockets,
  one thread) runs on another. Servers are driven in turn, in slices of {plan.seconds:g} s; one
  round warms up, then the counted rounds follow ({plan.cycles}).
- The figure is the CPU time of the server process and its descendants, user and kernel, from the
  kernel's process clock, divided by the messages of the slice. Costs are medians over the rounds;
  ratios are medians of the ratios within each round. Wall-clock figures of a shared machine drift,
  these do not.
- A message is an event with its acknowledgement (echo), one delivery to one client (fan-out), one
  delivery with the acknowledgement of its recipient, or one connection that has joined its
  namespace, HTTP requests included (connect). Clients use the WebSocket transport where nothing
  else is said; a broadcast carries 64 bytes. Connections are opened 64 at a time.
- With rooms and namespaces, 8 emits are in flight. Three overlapping rooms of 10 have 16 members,
  and each gets the event once. Handlers that wait do so for one turn of the loop. The middleware
  looks at the name of every event; python-socketio and socketioxide have none, and only echo. The
  typed argument is validated into a `msgspec.Struct` by telex, read into a struct by socketioxide
  and only parsed by the others. A long-polling client has two HTTP connections, as a browser has,
  one for what it says and one that waits. An upgrade is the whole way: handshake and joining over
  long-polling, the probe, and an echo over WebSocket.
- A fresh process has had ten connections before (rounds: {plan.fresh_cycles}); "again" is a
  process that has had as many before, whose code is compiled and whose memory is in use.
- Memory is the growth of the resident set of a fresh process, read {plan.settle:g} s after the last
  connection has joined.
- The kernel floor is a server in C that answers this load and does nothing else
  (`benchmarks/servers/floor_server.c`): what the system calls cost on this machine. It bounds every
  ratio: where a goal lies beyond it, the verdict says where it stands.
- Every server runs with its default options. Bun has socket.io on its own engine
  (`@socket.io/bun-engine`), with the handlers of the server on Node. socketioxide runs under axum
  on one thread of tokio, built in release. python-socketio runs under uvicorn with uvloop,
  httptools and websockets-sansio, telex under uvicorn and uvloop. "telex" has plain functions as
  handlers and the fast WebSocket path; "async handlers" has coroutines; "nothing compiled" does
  without the compiled part (`TELEX_PURE=1`), on picows; "plain ASGI" is the same application under
  uvicorn without the fast path.""",
        f"""## Machine, versions, command

- Date: {surroundings.date}
- Machine: {surroundings.machine}; other processes used {findings.neighbours:.2f} cores
- {surroundings.python}
{_versions(findings, findings.contenders)}
- Command: `{findings.command}`
{_kept(findings)}
Every cycle is in `benchmarks.json`.""",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cost_tables(findings: Findings, contenders: Sequence[Contender]) -> str:
    """The tables of the sections in which one of these servers took part."""
    return "\n\n".join(
        f"### {heading}\n\n{cost_table(contenders, outcomes)}"
        for heading, outcomes in sections(findings)
    )


def _variants(findings: Findings) -> str:
    """telex in other ways than the first one, where they took part."""
    variants = [
        one for one in findings.contenders if one.role in {"async", "pure", "asgi", "other"}
    ]
    names = {one.name for one in variants}
    outcomes = [one for one in findings.outcomes if names & one.slices.keys()]
    if not outcomes:
        return ""
    columns = [one for one in findings.contenders if one is TELEX or one.name in names]
    return f"""## telex: handlers, Python versions, fronts

In brackets: how many times less than Node.

{cost_table(columns, outcomes)}"""


def _kept(findings: Findings) -> str:
    if not findings.kept:
        return ""
    return (
        f"- Measured before, in the same way ({findings.kept_from}): {'; '.join(findings.kept)}\n"
    )
