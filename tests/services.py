"""
Real servers for tests and demos: Redis in several configurations, and an S3 protocol server.

Each is a context manager that starts on a free loopback port, keeps its files in a folder of its own, and stops what it
started by its process id, whatever happens inside.
"""

from __future__ import annotations

import datetime as dt
import http.server
import ipaddress
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
# Between finding a free port and using it, somebody else may take it.
_START_ATTEMPTS = 5


def free_port() -> int:
    """Return a loopback port on which nothing listens at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class TlsFiles:
    """
    A certificate authority made for one test, and a server certificate.

    :param authority: the file that clients trust.
    """

    authority: Path
    certificate: Path
    key: Path


@dataclass
class RedisServer:
    """A running redis-server."""

    port: int
    process: subprocess.Popen[bytes] = field(repr=False)
    host: str = LOOPBACK

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait(_STOP_SECONDS)

    def freeze(self) -> None:
        """Keep its connections open but let it answer nothing, as a network partition would."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it answer again."""
        os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def redis_server(
    *,
    tls: TlsFiles | None = None,
    password: str | None = None,
    acl: Sequence[str] = (),
    maxmemory: str | None = None,
    port: int | None = None,
    options: Sequence[str] = (),
) -> Iterator[RedisServer]:
    """
    Run a redis-server that keeps nothing on disk.

    :param password: of the default user; None lets everybody in.
    :param acl: further users, each as a line ``<name> on ><password> ~<keys> +<command>``.
    :param maxmemory: such as ``"4mb"``; the policy is noeviction.
    :param port: a fixed port instead of a free one.
    :param options: further words of the command line.
    :raises RuntimeError: with the server's own words if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        configuration = Path(folder, "redis.conf")
        configuration.write_text("\n".join(_redis_lines(folder, tls, password, acl, maxmemory)) + "\n")
        server = _start_redis(configuration, tls=tls, port=port, options=options)
        try:
            yield server
        finally:
            _stop(server.process)


def _redis_lines(
    folder: str, tls: TlsFiles | None, password: str | None, acl: Sequence[str], maxmemory: str | None
) -> Iterator[str]:
    yield f"bind {LOOPBACK}"
    yield f"dir {folder}"
    yield 'save ""'
    yield "appendonly no"
    if tls is not None:
        yield from (f"tls-cert-file {tls.certificate}", f"tls-key-file {tls.key}", f"tls-ca-cert-file {tls.authority}")
        yield "tls-auth-clients no"
    if password is not None:
        yield f"requirepass {password}"
    yield from (f"user {line}" for line in acl)
    if maxmemory is not None:
        yield from (f"maxmemory {maxmemory}", "maxmemory-policy noeviction")


def _start_redis(configuration: Path, *, tls: TlsFiles | None, port: int | None, options: Sequence[str]) -> RedisServer:
    log = configuration.with_suffix(".log")
    for _ in range(_START_ATTEMPTS):
        chosen = port or free_port()
        ports = ["--port", "0", "--tls-port", str(chosen)] if tls else ["--port", str(chosen)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["redis-server", str(configuration), *ports, *options], stdout=output, stderr=subprocess.STDOUT
            )
        if _listens(chosen, process):
            return RedisServer(port=chosen, process=process)
        _stop(process)
    raise RuntimeError(f"redis-server did not start:\n{log.read_text(errors='replace')}")


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            # Whoever listens is ours only if our process is still there: it ends when the port was taken.
            time.sleep(0.02)
            return process.poll() is None
        time.sleep(0.01)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    # A frozen process takes notice of the end only once it runs again.
    os.kill(process.pid, signal.SIGCONT)
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_STOP_SECONDS)


def make_tls_files(folder: Path, *, host_name: str = "localhost", address: str = LOOPBACK) -> TlsFiles:
    """Make a certificate authority and a server certificate for one host, valid for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    blank = (
        x509.CertificateBuilder()
        .issuer_name(name("authority of one test"))
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
    authority = _signed(
        blank.subject_name(name("authority of one test")).add_extension(x509.BasicConstraints(True, 0), critical=True),
        own_key=authority_key,
        signer=authority_key,
    )
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName(host_name)])
    server = _signed(
        blank.subject_name(name("server of one test")).add_extension(addresses, critical=False),
        own_key=server_key,
        signer=authority_key,
    )
    return _write_tls_files(folder, authority, server, server_key)


def _signed(builder, *, own_key, signer):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return (
        builder.public_key(own_key.public_key())
        .serial_number(x509.random_serial_number())
        .sign(signer, hashes.SHA256())
    )


def _write_tls_files(folder: Path, authority, server, server_key) -> TlsFiles:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    folder.mkdir(parents=True, exist_ok=True)
    files = TlsFiles(authority=folder / "authority.pem", certificate=folder / "server.pem", key=folder / "server.key")
    files.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    files.certificate.write_bytes(server.public_bytes(Encoding.PEM))
    files.key.touch(0o600)
    files.key.write_bytes(server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


@dataclass(frozen=True)
class S3Server:
    """
    A running S3 protocol server with one bucket; it accepts any credentials.

    :param endpoint_url: where S3 clients must point.
    """

    endpoint_url: str
    bucket: str


@contextmanager
def s3_server(bucket: str = "exclusive") -> Iterator[S3Server]:
    """Run an S3 protocol server in a thread of this process, with an empty bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        ).create_bucket(Bucket=bucket)
        yield S3Server(endpoint_url=endpoint, bucket=bucket)
    finally:
        server.stop()


@contextmanager
def s3_refusing(status: int, code: str) -> Iterator[str]:
    """
    Run an S3 protocol server that answers every request with one error.

    :param status: the HTTP status.
    :param code: the S3 error code, such as ``AccessDenied``.
    """
    body = f"<Error><Code>{code}</Code><Message>refused</Message></Error>".encode()
    with answering(status, body, content_type="application/xml") as url:
        yield url


@contextmanager
def answering(status: int, body: bytes, *, content_type: str = "text/html") -> Iterator[str]:
    """
    Run an HTTP server that gives every request the same answer, as a captive portal does.

    :param status: the HTTP status.
    :param body: of every answer but those to ``HEAD``.
    """

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that is overridden
            """Keep the test's output clean."""

    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(_STOP_SECONDS)
