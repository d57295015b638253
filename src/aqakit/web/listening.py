"""Where the server listens, by which names it is called, and who may call it; mistakes are said before it starts."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from aqakit.errors import OptionError
from aqakit.web.app import LOOPBACK
from aqakit.web.guard import ADDRESSES

AT_ONCE = 100
WAITING = 2048

_MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # an address of a kind that this machine does not have


class Listener(socket.socket):
    """Accepts :data:`AT_ONCE` connections in one round of the event loop, while the system holds many more."""

    def listen(self, backlog: int = WAITING) -> None:
        """Listen; ``backlog``, which for the loop is also the number that it accepts in a round, is not used."""
        super().listen(WAITING)


def listen(host: str, port: int) -> list[socket.socket]:
    """Take a port, at each address of a host.

    Raises:
        OptionError: the port is in use or may not be used, or this machine has no such address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise OptionError(f"--host {host}: this is no address; give one of this machine, such as 127.0.0.1") from None
    sockets: list[socket.socket] = []
    missing = None
    for family, _, _, _, address in dict.fromkeys(found):
        try:
            sockets.append(_bound(family, address))
        except OSError as error:
            if error.errno not in _MISSING:
                for one in sockets:
                    one.close()
                raise _refused(host, port, error) from None
            missing = error
    if not sockets:
        raise _refused(host, port, missing or OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)))
    return sockets


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    made = Listener(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen()  # now, since two may bind a port to which nobody listens
    except OSError:
        made.close()
        raise
    return made


def _refused(host: str, port: int, error: OSError) -> OptionError:
    if error.errno == errno.EADDRINUSE:
        return OptionError(f"port {port} of {host} is in use, perhaps by another server; choose one with --port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return OptionError(f"port {port} of {host} may not be used by this user; choose one above 1023 with --port")
    if error.errno in _MISSING:
        return OptionError(f"--host {host}: this machine has no such address; 0.0.0.0 stands for all that it has")
    return OptionError(f"port {port} of {host}: {error.strerror}; choose others with --host and --port")


@contextmanager
def closing_all(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    """Close sockets at the end of the context."""
    try:
        yield sockets
    finally:
        for one in sockets:
            with suppress(OSError):
                one.close()


def check_token(token: str | None) -> None:
    """Refuse a token that is empty or that no browser could send.

    Raises:
        OptionError: the token is empty, or has characters other than visible ASCII.
    """
    if token is not None and not token.strip():
        raise OptionError("the token of --token or AQAKIT_TOKEN is empty; give a secret, or unset it to let anyone in")
    if token is not None and not all("!" <= c <= "~" for c in token):
        raise OptionError("the token may have letters, digits and signs of ASCII only, without spaces")


def accepted(host: str, names: Sequence[str], token: str | None) -> Collection[str] | None:
    """Return the host names by which visitors may call the server; None for any.

    Without a token, a page of a foreign domain that is made to resolve to this server could use it through the
    browser of a visitor. It cannot be called by an address in numbers.

    Args:
        host: address that it listens on.
        names: names that were given.
        token: secret that visitors need; None if they need none.
    """
    if is_loopback(host):
        return {*LOOPBACK, host, *names}
    if token is not None:
        return None
    own = socket.gethostname()
    return {*LOOPBACK, host, *names, own, own.partition(".")[0], f"{own.partition('.')[0]}.local", ADDRESSES}


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
