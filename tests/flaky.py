"""A TCP proxy on loopback that can be told to fail: what a network does to a store's clients."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Flaky:
    """Hands every connection on to a port, one request each.

    Attributes:
        down: connections are taken and closed at once.
        lose: the answer to the next request whose first line holds this text is thrown away,
            though the server did what was asked.
        lost: first lines of the requests whose answers were.
    """

    def __init__(self, port: int) -> None:
        self.down = False
        self.lose: bytes | None = None
        self.lost: list[bytes] = []
        self._told = 0
        self._to = port
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except ConnectionError:  # it was given up before it was taken
                continue
            except OSError:
                return
            if self.down:
                client.close()
            else:
                threading.Thread(target=self._hand_on, args=(client,), daemon=True).start()

    def _hand_on(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, self._server() as server:
            back = threading.Thread(target=self._answers, args=(server, client), daemon=True)
            back.start()
            while data := client.recv(65536):
                if self.down:
                    return
                with self._lock:
                    line = data.split(b"\r\n", 1)[0]
                    if self.lose and self.lose in line:
                        self.lose = None
                        self.lost.append(line)
                server.sendall(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _server(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._to))

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                with self._lock:
                    gone = len(self.lost)
                if self.down or gone > self._told:
                    self._told = gone
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)


@contextlib.contextmanager
def flaky(port: int) -> Iterator[Flaky]:
    """A proxy for the time of the block."""
    proxy = Flaky(port)
    try:
        yield proxy
    finally:
        proxy.close()
