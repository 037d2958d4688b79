"""A TCP proxy before a real server, which breaks chosen connections in a chosen way."""

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

_CHUNK_BYTES = 1 << 16


class FaultKind(StrEnum):
    """What happens to a connection."""

    REFUSE = "refuse"
    """Closed at once."""
    LOSE_ANSWER = "lose_answer"
    """The request gets through; at the first byte of the answer the client's side is closed."""
    CUT_ANSWER = "cut_answer"
    """Closed after ``after_bytes`` of answers."""
    DAMAGE_REQUEST = "damage_request"
    """The byte at ``after_bytes`` of the requests is changed."""
    ANSWER = "answer"
    """Requests with ``marker`` in their head get ``answer``, and don't reach the server."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One connection's fate."""

    kind: FaultKind
    after_bytes: int = 0
    marker: bytes = b""
    answer: bytes = b""


@dataclass(frozen=True, kw_only=True)
class FaultyProxy:
    """A running proxy. ``faults`` that are left are for the connections to come, in their order;
    connections after them are sound."""

    endpoint_url: str
    faults: deque[Fault]


def s3_error(status: int, code: str, *, marker: bytes = b"") -> Fault:
    """An S3 server's refusal, in answer to requests with ``marker`` (default: to any)."""
    body = f"<Error><Code>{code}</Code><Message>made by a test</Message></Error>".encode()
    head = (
        f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return Fault(kind=FaultKind.ANSWER, marker=marker, answer=head.encode() + body)


@contextmanager
def faulty_proxy(endpoint_url: str, faults: Sequence[Fault]) -> Iterator[FaultyProxy]:
    """A proxy before ``endpoint_url`` on a free port, closed on leaving."""
    upstream = (urlsplit(endpoint_url).hostname or "", urlsplit(endpoint_url).port or 80)
    left = deque(faults)
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = FaultyProxy(endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}", faults=left)
    accepting = threading.Thread(target=_accept, args=(listener, upstream, left), daemon=True)
    accepting.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


def _accept(listener: socket.socket, upstream: tuple[str, int], faults: deque[Fault]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return  # the listener was closed
        fault = faults.popleft() if faults else None
        if fault is not None and fault.kind is FaultKind.REFUSE:
            client.close()
            continue
        server = socket.create_connection(upstream)
        for pump in (_pump_requests, _pump_answers):
            threading.Thread(target=pump, args=(client, server, fault), daemon=True).start()


def _pump_requests(client: socket.socket, server: socket.socket, fault: Fault | None) -> None:
    num_bytes = 0
    with _hanging_up(client, server):
        while data := client.recv(_CHUNK_BYTES):
            if fault is not None and fault.kind is FaultKind.DAMAGE_REQUEST:
                data = _damage(data, at=fault.after_bytes - num_bytes)
            if fault is not None and fault.kind is FaultKind.ANSWER and fault.marker in data:
                client.sendall(fault.answer)
                while client.recv(_CHUNK_BYTES):
                    pass  # closing with unread bytes would take the answer back
                return
            server.sendall(data)
            num_bytes += len(data)


def _pump_answers(client: socket.socket, server: socket.socket, fault: Fault | None) -> None:
    left_bytes = fault.after_bytes if fault and fault.kind is FaultKind.CUT_ANSWER else None
    with _hanging_up(client, server):
        while data := server.recv(_CHUNK_BYTES):
            if fault is not None and fault.kind is FaultKind.LOSE_ANSWER:
                return
            if left_bytes is not None:
                data = data[:left_bytes]
                left_bytes -= len(data)
            client.sendall(data)
            if left_bytes == 0:
                return


@contextmanager
def _hanging_up(client: socket.socket, server: socket.socket) -> Iterator[None]:
    """Ends both sides when one pump ends; a side that has ended already is no error."""
    try:
        with contextlib.suppress(OSError):
            yield
    finally:
        for side in (client, server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


def _damage(data: bytes, *, at: int) -> bytes:
    if not 0 <= at < len(data):
        return data
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
