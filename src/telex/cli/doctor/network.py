"""Up to the first byte of HTTP: names, connections, certificates."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from urllib.parse import urlsplit

from telex.client.network import environment_proxy

from .case import Case

EXPIRES_SOON = 14
"""Days a certificate should still be valid."""

_HOST_MISMATCH = 62
_VERIFY = {
    9: (
        "the certificate is not valid yet",
        "Check the clock of this machine and of the one that issued the certificate.",
    ),
    10: (
        "the certificate has expired",
        "Renew it, and let the server or proxy load the new one.",
    ),
    18: (
        "the certificate is self-signed",
        (
            "Install one of a known authority; for a test server, let clients trust this one "
            "(ssl=…, NODE_EXTRA_CA_CERTS) or examine with --insecure."
        ),
    ),
    19: (
        "an authority that this machine does not trust has issued the certificate",
        "Add the authority to the trusted ones here, or install a certificate of a known one.",
    ),
    20: (
        "the chain of certificates cannot be followed to an authority known here",
        (
            "Configure the server with the full chain (fullchain.pem rather than cert.pem), or add "
            "the authority to the trusted ones here."
        ),
    ),
    _HOST_MISMATCH: (
        "the certificate is for another name",
        "Use a name that the certificate covers, or have one issued for this name.",
    ),
}
_VERIFY[21] = _VERIFY[20]
_VERIFY[64] = _VERIFY[_HOST_MISMATCH]  # the same for an IP address


async def reach(case: Case) -> bool:
    """Whether the server can be reached, or the proxy that the environment names for it."""
    place = case.place
    proxy = environment_proxy(place.server)
    if proxy is not None:
        return await _through(case, proxy)
    addresses = await resolve(case)
    address = await connect(case, addresses) if addresses else None
    return address is not None and await secure(case, address)


async def _through(case: Case, proxy: str) -> bool:
    """Whether the proxy takes connections: names and certificates are then its business."""
    case.proxy = proxy
    case.tls = not case.insecure
    variable = "HTTPS_PROXY" if case.place.secure else "HTTP_PROXY"
    try:
        parts = urlsplit(proxy)
        host, port = parts.hostname or "", parts.port or 80
        async with asyncio.timeout(min(case.timeout, 5.0)):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, ValueError, TimeoutError) as error:
        reason = "no answer" if isinstance(error, TimeoutError) else str(error)
        case.findings.unreachable(
            "proxy",
            f"The proxy that {variable} names cannot be reached: {reason}",
            "It is not there, or this machine is in another network.",
            f"Correct {variable}, or name {case.place.host} in NO_PROXY.",
        )
        return False
    await _close(writer)
    case.findings.add("proxy", "ok", f"Requests go through {host}:{port} ({variable})")
    return True


async def resolve(case: Case) -> list[str]:
    """The addresses of the host; none if it has none."""
    place, loop = case.place, asyncio.get_running_loop()
    started = time.monotonic()
    try:
        async with asyncio.timeout(case.timeout):
            found = await loop.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        case.findings.unreachable(
            "dns",
            f"{place.host}: no answer from the name server within {case.timeout:g} s",
            "This machine cannot ask its name server.",
            "Check the network of this machine.",
        )
        return []
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        case.findings.unreachable(
            "dns",
            f"{place.host} is not known: {reason}",
            "The name is misspelt, or has no entry in the DNS that this machine asks.",
            "Correct the name; inside containers, use the name of the service, not localhost.",
        )
        return []
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    case.findings.add(
        "dns",
        "ok",
        f"{place.host} is {', '.join(addresses)}"
        if addresses != [place.host]
        else f"{place.host} is an address, no name to look up",
        addresses=addresses,
        seconds=round(time.monotonic() - started, 6),
    )
    return addresses


async def connect(case: Case, addresses: list[str]) -> str | None:
    """An address that takes TCP connections, or ``None``."""
    place = case.place
    reached: dict[str, float] = {}
    failed: dict[str, str] = {}
    for address in addresses:
        started = time.monotonic()
        try:
            async with asyncio.timeout(min(case.timeout, 5.0)):
                _, writer = await asyncio.open_connection(address, place.port)
        except TimeoutError:
            failed[address] = "no answer"
        except OSError as error:
            failed[address] = "refused" if isinstance(error, ConnectionRefusedError) else str(error)
        else:
            reached[address] = round(time.monotonic() - started, 6)
            await _close(writer)
    data = {"port": place.port, "reached": reached, "failed": failed}
    if not reached:
        silent = "no answer" in failed.values()
        shown = ", ".join(f"{address}: {reason}" for address, reason in failed.items())
        case.findings.unreachable(
            "tcp",
            f"Port {place.port} cannot be reached ({shown})",
            "A firewall drops the packets, or the host is not up."
            if silent
            else "Nothing listens there.",
            "Open the port in the firewall or security group."
            if silent
            else "Start the server, check the port, and let the server listen on 0.0.0.0 if it "
            "runs in a container or is to be reached from another machine.",
            data=data,
        )
        return None
    shown = ", ".join(f"{address} in {1000 * t:.1f} ms" for address, t in reached.items())
    if failed and place.host != "localhost":
        case.findings.add(
            "tcp",
            "warning",
            f"Port {place.port}: {shown}; not at {', '.join(failed)}",
            "The name has addresses at which nothing answers: some clients wait there first.",
            "Remove them from the DNS, or let the server listen there too.",
            data=data,
        )
    else:
        case.findings.add("tcp", "ok", f"Port {place.port}: {shown}", data=data)
    return next(iter(reached))


async def secure(case: Case, address: str) -> bool:
    """Whether TLS can be spoken; a certificate that does not verify is a problem noted."""
    if not case.place.secure:
        return True
    context = ssl.create_default_context()
    case.tls = context
    try:
        certificate, version = await _handshake(case, address, context)
    except ssl.SSLCertVerificationError as error:
        return await _unverified(case, address, error)
    except (OSError, TimeoutError) as error:
        return _no_tls(case, error)
    days = _days_left(certificate)
    data = {"version": version, "days_left": None if days is None else round(days, 1)}
    if days is not None and days < EXPIRES_SOON:
        case.findings.add(
            "tls",
            "warning",
            f"{version}, but the certificate expires in {days:.0f} days",
            "It has not been renewed yet.",
            "Renew it, and look why that did not happen by itself.",
            data=data,
        )
    else:
        left = "" if days is None else f", certificate valid for {days:.0f} more days"
        case.findings.add("tls", "ok", f"{version}{left}", data=data)
    return True


async def _unverified(case: Case, address: str, error: ssl.SSLCertVerificationError) -> bool:
    """Note what is wrong with the certificate, and go on without it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    case.tls = context
    known = _VERIFY.get(error.verify_code)
    cause, cure = known or (
        "the certificate cannot be verified",
        "Install a certificate of a known authority.",
    )
    try:
        _, version = await _handshake(case, address, context)
    except (OSError, TimeoutError) as other:
        return _no_tls(case, other)
    case.findings.add(
        "tls",
        "warning" if case.insecure else "problem",
        f"{version}, but clients refuse to connect: {cause}",
        f"OpenSSL says: {error.verify_message.rstrip('.')} (code {error.verify_code}).",
        cure + (" The examination goes on without verification." if not case.insecure else ""),
        version=version,
        verify_code=error.verify_code,
        verify_message=error.verify_message,
    )
    return True


def _no_tls(case: Case, error: Exception) -> bool:
    reason = getattr(error, "reason", None) or str(error) or type(error).__name__
    plain = reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST")
    case.findings.unreachable(
        "tls",
        f"No TLS on port {case.place.port}: {reason}",
        "The port speaks plain HTTP."
        if plain
        else "The other side broke off: it may want another TLS version, another name (SNI), or "
        "a certificate of the client.",
        f"Use http:// for this port ({case.place.origin.replace('https', 'http', 1)}), or the "
        "port on which TLS is served."
        if plain
        else "Read the log of the server or proxy that ends TLS.",
        reason=reason,
    )
    return False


async def _handshake(
    case: Case, address: str, context: ssl.SSLContext
) -> tuple[dict[str, object], str]:
    async with asyncio.timeout(case.timeout):
        _, writer = await asyncio.open_connection(
            address, case.place.port, ssl=context, server_hostname=case.place.host
        )
    try:
        tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
        found = tls.getpeercert() or {}
        return dict(found), tls.version() or "TLS"
    finally:
        await _close(writer)


def _days_left(certificate: dict[str, object]) -> float | None:
    ends = certificate.get("notAfter")
    if not isinstance(ends, str):
        return None
    return (ssl.cert_time_to_seconds(ends) - time.time()) / 86400


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        async with asyncio.timeout(2):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        pass
