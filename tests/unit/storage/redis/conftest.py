"""A server in this process that speaks as much of Redis's protocol as the driver does."""

from __future__ import annotations

import fnmatch
import socket
import socketserver
import threading
from contextlib import suppress

import pytest

INFO = {"redis_version": "7.2.4", "role": "master", "maxmemory_policy": "noeviction", "maxmemory": "1000"}


def _bulk(content):
    return b"$-1\r\n" if content is None else b"$%d\r\n%s\r\n" % (len(content), content)


def _array(*replies):
    return b"*%d\r\n" % len(replies) + b"".join(replies)


class FakeRedis:
    """
    Keeps ``values`` and ``expiries`` by name, and every command in ``commands``.

    ``answers`` holds raw replies that come instead of the right one, by command, each once; it hangs up
    after one without its end.
    """

    def __init__(self):
        self.values, self.expiries, self.commands, self.answers = {}, {}, [], {}
        self.password, self.scanned = None, None
        self.connections = 0

    def clear(self):
        self.__init__()

    def names(self):
        return [command for command, *_ in self.commands]

    def answer(self, command, words):
        if self.answers.get(command):
            return self.answers[command].pop(0)
        return getattr(self, command.lower(), lambda *_: b"-ERR unknown command\r\n")(*words)

    def ping(self):
        return b"+PONG\r\n"

    def client(self, *_):
        return b"+OK\r\n"

    def select(self, _):
        return b"+OK\r\n"

    def info(self):
        return _bulk("".join(f"{name}:{content}\r\n" for name, content in INFO.items()).encode())

    def set(self, name, content, *options):
        self.values[name], self.expiries[name] = content, int(options[1]) if options else None
        return b"+OK\r\n"

    def get(self, name):
        return _bulk(self.values.get(name))

    def getrange(self, name, begin, end):
        content = self.values.get(name, b"")
        return _bulk(content[int(begin) : int(end) + 1 if int(end) >= 0 else None])

    def strlen(self, name):
        return b":%d\r\n" % len(self.values.get(name, b""))

    def unlink(self, *names):
        return b":%d\r\n" % sum(self.values.pop(name, None) is not None for name in names)

    def scan(self, cursor, *options):
        """Two pages; ``scanned`` replaces what is found."""
        pattern = options[1].decode("latin-1")
        found = [name for name in self.values if _matches(name.decode("latin-1"), pattern)]
        found = found if self.scanned is None else self.scanned
        middle = len(found) // 2
        page, following = (found[:middle], b"1") if cursor == b"0" else (found[middle:], b"0")
        return _array(_bulk(following), _array(*map(_bulk, page)))


def _matches(name, pattern):
    """Match as Redis does: a backslash takes the next character as it is."""
    assert pattern.endswith("*")
    literal, at = "", 0
    while at < len(pattern) - 1:
        at += pattern[at] == "\\"
        literal += f"[{pattern[at]}]" if pattern[at] in "*?[" and pattern[at - 1] == "\\" else pattern[at]
        at += 1
    return fnmatch.fnmatchcase(name, f"{literal}*")


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        redis = self.server.redis
        redis.connections += 1
        is_let_in = redis.password is None
        while line := self.rfile.readline():
            command, *words = [self._word() for _ in range(int(line[1:]))]
            command = command.decode().upper()
            redis.commands.append((command, *words))
            if command == "AUTH":
                is_let_in = words[-1].decode() == redis.password
                self.wfile.write(b"+OK\r\n" if is_let_in else b"-WRONGPASS invalid username-password pair\r\n")
                continue
            reply = redis.answer(command, words) if is_let_in else b"-NOAUTH Authentication required.\r\n"
            self.wfile.write(reply)
            if not reply.endswith(b"\r\n"):
                return

    def _word(self):
        size = int(self.rfile.readline()[1:])
        return self.rfile.read(size + 2)[:-2]


class _Server(socketserver.ThreadingTCPServer):
    request_queue_size = 50

    def __init__(self, redis):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.redis, self.peers = redis, []
        redis.port = self.server_address[1]

    def process_request(self, request, client_address):
        self.peers.append(request)
        super().process_request(request, client_address)

    def hang_up(self):
        """End every thread, for other tests fork this process."""
        for peer in self.peers:
            with suppress(OSError):  # it is closed already
                peer.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def _listening():
    with _Server(FakeRedis()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.redis
        server.shutdown()
        thread.join()
        server.hang_up()


@pytest.fixture
def redis(_listening):
    _listening.clear()
    return _listening
