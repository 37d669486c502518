"""The port that the servers of the integration tests start on."""

from __future__ import annotations

import socket
import sys

from tests import services


def test_a_free_port_can_be_listened_on():
    with socket.socket() as listener:
        listener.bind((services.LOOPBACK, services.free_port()))
        listener.listen()


def test_a_private_certificate_authority_vouches_for_the_server(tmp_path):
    from cryptography import x509

    files = services.make_tls_files(tmp_path)
    authority, server = (
        x509.load_pem_x509_certificate(path.read_bytes()) for path in (files.authority, files.certificate)
    )
    server.verify_directly_issued_by(authority)
    assert files.key.stat().st_mode & 0o077 == 0


def test_services_do_not_need_pytest():
    assert "pytest" not in vars(services)
    assert sys.modules["tests.services"] is services
