"""A certificate authority for demo and tests: one folder, one CA, server and client certificates (RFC 5280).

Nothing of it may ever leave this machine: the keys lie beside the certificates. What is there is kept, so that parts
that start again meet the certificates they know; certificates that have run out are made anew.

    python -m tools.test_ca DIR
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAYS = 90  # of every certificate; well above the 30 at which the bridge begins to warn
LOOPBACK = ("localhost", "127.0.0.1", "::1")
USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
BACKDATED = dt.timedelta(hours=1)  # clocks of two machines differ


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


def make(folder: Path) -> None:
    """ca.pem, server.pem, server.key (for loopback) and client.pem, client.key, as far as they are not there."""
    folder.mkdir(parents=True, exist_ok=True)
    _authority(folder)
    for name, usage, hosts in (("server", "server", LOOPBACK), ("client", "client", ())):
        if not _is_good(folder / f"{name}.pem", folder / f"{name}.key"):
            issue(folder, name, usage, hosts)


def issue(
    folder: Path,
    name: str,
    usage: str = "server",
    hosts: Sequence[str] = LOOPBACK,
    *,
    starts: dt.datetime | None = None,
    ends: dt.datetime | None = None,
) -> Pair:
    """Sign a certificate of subject `name` with the CA of `folder`; `starts` and `ends` for those that must be refused.

    `usage`: server or client. `hosts`: DNS names and addresses it is good for.
    """
    authority, authority_key = _authority(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [_general_name(host) for host in hosts]
    builder = _builder(name, authority.subject, key.public_key(), starts, ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([USAGES[usage]]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _write(folder, name, builder.sign(authority_key, hashes.SHA256()), key)


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    pair = Pair(folder / "ca.pem", folder / "ca.key")
    if not _is_good(pair.certificate, pair.key):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.pem"):
            old.unlink()  # signed by a CA that is no more
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PlumeProof test CA, not for use")])
        builder = _builder("PlumeProof test CA, not for use", name, key.public_key(), None, None)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        _write(folder, "ca", builder.sign(key, hashes.SHA256()), key)
    loaded = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes()), loaded


def _builder(
    subject: str,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    starts: dt.datetime | None,
    ends: dt.datetime | None,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(starts or now - BACKDATED)
        .not_valid_after(ends or now + dt.timedelta(days=DAYS))
    )


def _general_name(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _is_good(certificate: Path, key: Path) -> bool:
    """Whether both files are whole and the certificate is good for another day."""
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError):
        return False
    return loaded.not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=1)


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    """Key first, so that a certificate without its key is never left behind."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair.key.unlink(missing_ok=True)
    with os.fdopen(os.open(pair.key, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return pair


def main() -> int:
    """Make a folder's certificates."""
    parser = argparse.ArgumentParser(prog="python -m tools.test_ca", description="certificates for demo and tests")
    parser.add_argument("folder", type=Path, metavar="DIR")
    make(parser.parse_args().folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
