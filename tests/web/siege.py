"""Visitors who keep a server busy with as little as possible, and one who asks whether it is well.

``python -m tests.web.siege PORT`` asks for ``/healthz`` on new connections until its input ends, and prints the seconds
of each answer. It is a process of its own, so that the visitors of a test do not slow it down.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HALF_OPEN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-"
ONE_BYTE = (
    b"POST /api/scores?run=tiny&name=x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
    b"Content-Type: application/octet-stream\r\n\r\nx"
)


@contextmanager
def besieged(port: int, half_open: int, one_byte: int) -> Iterator[list[int]]:
    """In this context, as many connections are half-open and as many uploads have sent a byte; cut off, they return.

    The list counts how many returned.
    """
    stop, returned = threading.Event(), [0]
    first = [HALF_OPEN] * half_open + [ONE_BYTE] * one_byte
    held = [_opened(port, sent) for sent in first]

    def renew() -> None:
        while not stop.wait(0.5):
            for number, one in enumerate(held):
                if one is None or _ended(one):
                    held[number] = _opened(port, first[number])
                    returned[0] += 1

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield returned
    finally:
        stop.set()
        thread.join()
        for one in filter(None, held):
            one.close()


def _opened(port: int, sent: bytes) -> socket.socket | None:
    with suppress(OSError):
        made = socket.create_connection(("127.0.0.1", port), timeout=5)
        made.sendall(sent)
        made.setblocking(False)
        return made
    return None


def _ended(one: socket.socket) -> bool:
    try:
        return one.recv(1) != b"?"  # an end, or a refusal
    except BlockingIOError:
        return False
    except OSError:
        return True


@contextmanager
def health_watched(port: int, pause: float = 0.01) -> Iterator[list[float]]:
    """In this context, health is asked for; after it, the list has the seconds of each answer."""
    words = [sys.executable, "-m", "tests.web.siege", str(port), str(pause)]
    found: list[float] = []
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield found
        out, _ = process.communicate("")
    found += json.loads(out)


def watch(port: int, pause: float) -> None:
    """Ask until the input ends."""
    waits, stop = [], threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    while not stop.wait(pause):
        started = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := one.recv(65536):
                answer += part
        waits.append(time.perf_counter() - started)
        assert b" 200 OK" in answer.splitlines()[0], answer
        assert b'"ok"' in answer, answer
    print(json.dumps(waits))


if __name__ == "__main__":
    watch(int(sys.argv[1]), float(sys.argv[2]))
