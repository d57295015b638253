"""Access control: who may send requests, and security headers for browsers."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

ADDRESSES = "*"

UPLOAD = ("POST", "/api/scores")
"""The request whose body is written to disk as it arrives."""

BODY = 65_536
"""Bytes that the body of any other request may have."""


class Guard:
    """Middleware that checks every request.

    Args:
        app: the application behind it.
        token: value that ``Authorization: Bearer`` must have for the API; None if anyone may use it.
        hosts: accepted host names, to protect against a foreign domain that resolves to this server (DNS rebinding);
            None for any. :data:`ADDRESSES` among them accepts every address in numbers, which needs no protection.
    """

    def __init__(self, app: ASGIApp, token: str | None, hosts: Collection[str] | None) -> None:
        self.app, self.token = app, token
        self.hosts = None if hosts is None else {host.lower() for host in hosts} - {ADDRESSES}
        self.addresses = hosts is not None and ADDRESSES in hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on and add :data:`HEADERS` to the response."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store" if scope["path"].startswith("/api") else "no-cache")
            await send(message)

        headers = Headers(scope=scope)
        app = self._refused(scope["path"], headers) or _too_large(scope, headers) or self.app
        return await app(scope, receive, guarded)

    def _refused(self, path: str, headers: Headers) -> JSONResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_accepted(_name(host)):
            said = "the server does not accept this host name; use the address that it printed, or allow it with --name"
            return _refusal(403, said)
        if origin is not None and (not host or _place(origin) != host):
            return _refusal(403, "another site may not use this server")
        if self.token is not None and path.startswith("/api") and not self._knows(headers):
            return _refusal(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
        return None

    def _is_accepted(self, name: str | None) -> bool:
        if self.hosts is None:
            return True
        return name is not None and (name in self.hosts or (self.addresses and is_address(name)))

    def _knows(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.encode(), str(self.token).encode())


def _too_large(scope: Scope, headers: Headers) -> JSONResponse | None:
    """Refuse a body that would be read into memory; that of an upload, which is not, has limits of its own."""
    if (scope["method"], scope["path"]) == UPLOAD:
        return None
    length = headers.get("content-length", "0")
    if "transfer-encoding" not in headers and length.isdecimal() and int(length) <= BODY:
        return None
    return _refusal(413, f"the body of this request must say its length, and be at most {BODY} bytes long")


def _place(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _name(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises an error if it is none
    except ValueError:
        return None
    if parts.netloc != host or "@" in host:
        return None
    return (parts.hostname or "").removesuffix(".") or None


def is_address(name: str) -> bool:
    """Return whether a host is named by its address in numbers."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refusal(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
