"""A time-stamp authority for tests: the real `openssl ts` behind a small HTTP server. Real ASN.1, real certificates.

Does not imitate rate limits or accounts. `is_away`: answers 503. `spoil`: changes an answer's bytes before they leave.

    with OpensslTsa(folder) as tsa: tsa.url, tsa.root
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """\
[req]
distinguished_name = name
prompt = no
[name]
CN = PlumeProof test
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[tsa]
default_tsa = tsa_1
[tsa_1]
serial = {folder}/serial
signer_cert = {folder}/leaf.pem
certs = {folder}/root.pem
signer_key = {folder}/leaf.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ess_cert_id_alg = sha256
"""


class OpensslTsa:
    """Serves on loopback from `with` on."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        assert shutil.which("openssl"), "openssl is needed: install it"
        self._folder = folder
        (folder / "openssl.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        self._lock = threading.Lock()  # openssl keeps its serial number in a file
        self.root = folder / "root.pem"
        self.is_away = False
        self.spoil: Callable[[bytes], bytes] = bytes
        self.asked = 0
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        self._run(*new, "-subj", "/CN=test root", "-extensions", "root", "-keyout", "root.key", "-out", "root.pem")
        issued = ["-CA", "root.pem", "-CAkey", "root.key"]
        self._run(
            *new, "-subj", "/CN=test tsa", "-extensions", "leaf", *issued, "-keyout", "leaf.key", "-out", "leaf.pem"
        )
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/tsr"

    def __enter__(self) -> OpensslTsa:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, question: bytes) -> bytes:
        """TimeStampResp of a TimeStampReq."""
        with self._lock:
            (self._folder / "question.tsq").write_bytes(question)
            self._run("ts", "-reply", "-queryfile", "question.tsq", "-out", "answer.tsr")
            return self.spoil((self._folder / "answer.tsr").read_bytes())

    def check(self, message: bytes, response: bytes) -> bool:
        """What `openssl ts -verify` says: a referee that is not ours."""
        (self._folder / "message").write_bytes(message)
        (self._folder / "response.tsr").write_bytes(response)
        command = ["openssl", "ts", "-verify", "-data", "message", "-in", "response.tsr", "-CAfile", "root.pem"]
        return subprocess.run(command, cwd=self._folder, capture_output=True).returncode == 0

    def _run(self, *words: str) -> None:
        command = ["openssl", words[0], "-config", "openssl.cnf", *words[1:]]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tsa = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = self.rfile.read(int(self.headers["Content-Length"]))
                tsa.asked += 1
                body = b"" if tsa.is_away else tsa.answer(question)
                self.send_response(503 if tsa.is_away else 200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None:
                """Quiet."""

        return Handler
