"""The test CA: a real TLS handshake with it, refusals where a certificate is wrong, kept files, private keys."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import stat
import threading

import pytest

from tools import test_ca


def shake(folder, pair: test_ca.Pair, host: str = "localhost", client: test_ca.Pair | None = None) -> str:
    """A TLS handshake over loopback; the version spoken. Raises ssl.SSLError as the client sees it."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(pair.certificate, pair.key)
    if client is not None:
        server_context.load_verify_locations(folder / "ca.pem")
        server_context.verify_mode = ssl.CERT_REQUIRED
    client_context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if client is not None:
        client_context.load_cert_chain(client.certificate, client.key)
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            with server_context.wrap_socket(far, server_side=True) as secured:
                secured.sendall(b"x")
        except OSError:
            far.close()  # the client's refusal is what the test looks at

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client_context.wrap_socket(near, server_hostname=host) as secured:
            assert secured.recv(1) == b"x"
            return str(secured.version())
    finally:
        near.close()
        thread.join()


def test_server_and_client_shake_hands(tmp_path):
    test_ca.make(tmp_path)
    server = test_ca.Pair(tmp_path / "server.pem", tmp_path / "server.key")
    client = test_ca.Pair(tmp_path / "client.pem", tmp_path / "client.key")
    for host in test_ca.LOOPBACK:
        assert shake(tmp_path, server, host, client) == "TLSv1.3"


def test_what_is_there_is_kept_and_what_ends_is_made_anew(tmp_path):
    test_ca.make(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    test_ca.make(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    now = dt.datetime.now(dt.UTC)
    test_ca.issue(tmp_path, "server", ends=now + dt.timedelta(minutes=5))
    test_ca.make(tmp_path)
    assert (tmp_path / "ca.pem").read_bytes() == before["ca.pem"]
    assert shake(tmp_path, test_ca.Pair(tmp_path / "server.pem", tmp_path / "server.key"))


@pytest.mark.parametrize("name", ["ca.key", "server.key", "client.key"])
def test_keys_are_their_owners_own(tmp_path, name):
    test_ca.make(tmp_path)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_wrong_certificates_are_refused(tmp_path):
    test_ca.make(tmp_path)
    now = dt.datetime.now(dt.UTC)
    for pair in (
        test_ca.issue(tmp_path, "elsewhere", hosts=("other.example",)),
        test_ca.issue(tmp_path, "expired", starts=now - dt.timedelta(days=9), ends=now - dt.timedelta(days=1)),
        test_ca.issue(tmp_path, "early", starts=now + dt.timedelta(days=1), ends=now + dt.timedelta(days=9)),
        test_ca.issue(tmp_path, "usage", usage="client", hosts=test_ca.LOOPBACK),
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            shake(tmp_path, pair)
    test_ca.make(tmp_path / "other")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(tmp_path, test_ca.Pair(tmp_path / "other" / "server.pem", tmp_path / "other" / "server.key"))
