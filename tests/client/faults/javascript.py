"""The JavaScript client in the same trouble: what it says, in the words that we compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.features.scripts import Page

START = r"""
    const log = (page.log = []);
    const managed = (page.managed = []);
    const upgrades = (page.upgrades = []);
    const add = (...entry) => log.push(entry);
    const manage = (...entry) => managed.push(entry);
    // A number, or an event with a sentence that has one.
    const status = ({ description }) => {
      if (typeof description === "number") return description || null;
      const found = /response: (\d+)/.exec(description?.message);
      return found ? Number(found[1]) : null;
    };
    const socket = (page.socket = open("/", { reconnection: true, ...options }));
    socket.on("connect", () => add("connect"));
    socket.on("connect_error", (error) => {
      add("connect_error", error.message ?? error, status(error));
    });
    socket.on("disconnect", (reason) => add("disconnect", reason));
    socket.onAny((name, data) => add("event", name, data.length ?? data));
    socket.io.on("close", (reason) => manage("close", reason));
    socket.io.on("error", (error) => manage("error", error.message ?? error));
    socket.io.on("reconnect_attempt", (n) => manage("reconnect_attempt", n));
    socket.io.on("reconnect_error", (error) => manage("reconnect_error", error.message ?? error));
    socket.io.on("reconnect_failed", () => manage("reconnect_failed"));
    socket.io.on("reconnect", (n) => manage("reconnect", n));
    socket.io.on("open", () => {
      manage("open");
      const { engine } = socket.io;
      engine.on("upgrading", (transport) => upgrades.push(["upgrading", transport.name]));
      engine.on("upgrade", (transport) => upgrades.push(["upgrade", transport.name]));
      engine.on("upgradeError", () => upgrades.push(["upgrade_error"]));
    });
    if (act) {
      socket.once("connect", () => socket.emit(act[0], act[2] ? "x".repeat(act[1]) : act[1]));
    }
    page.settle = async () => {
      for (;;) {
        try {
          return await socket.timeout(2000).emitWithAck("echo", "settled");
        } catch {
          await sleep(5);
        }
      }
    };
    page.until = async (name) => {
      while (![...log, ...managed].some((entry) => entry[0] === name)) await sleep(2);
    };
    page.until_upgrade = async () => {
      while (!upgrades.some((entry) => entry[0] !== "upgrading")) await sleep(2);
    };
"""


def javascript_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ours as JavaScript spells them: camel case, milliseconds."""
    return {_camel(name): _value(name, value) for name, value in options.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _value(name: str, value: Any) -> Any:
    if name in {"timeout", "reconnection_delay", "reconnection_delay_max", "ack_timeout"}:
        return False if value is None else value * 1000
    return list(value) if name == "transports" else value


async def start(page: Page, options: Mapping[str, Any], act: object) -> None:
    """Open a socket on this page, and take down what it says."""
    await page.run(START, options=javascript_options(options), act=act)
