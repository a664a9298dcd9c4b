"""A real MQTT broker on loopback for demo and tests: TLS 1.2 or later, client certificates required, sessions kept.

Chosen in this order: mosquitto from PATH or the system's sbin folders; mosquitto unpacked in .cache/broker/ (its
package's own tree: usr/sbin, usr/lib); amqtt, a broker in Python that speaks MQTT 3.1.1 only and keeps nothing over its
death. `is_mqtt5` and `keeps_over_kill` say so, `words` names it.

    broker = Broker(folder, authority)      # authority: a folder made by tools/test_ca.py
    broker.start(); broker.kill(); broker.start()  # same port; mosquitto: same sessions, same retained messages
    broker.stop()
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import random
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.demo.part import Part, PartError

CHECKOUT = Path(__file__).resolve().parents[1]
UNPACKED = CHECKOUT / ".cache" / "broker"
SBIN = ("/usr/sbin", "/usr/local/sbin")  # Debian puts mosquitto there; ordinary users have them not in PATH
CERTIFICATES = ("ca.pem", "server.pem", "server.key")
START_S = 20.0
PACKET_MAX_BYTES = 1 << 20  # far above an envelope (4 KiB) and an average; a larger one is no message of ours


@dataclass(frozen=True, slots=True)
class Found:
    """A broker program. `libraries`: folders that its own tree brings (empty: the system's)."""

    name: str
    version: str
    program: str
    libraries: tuple[str, ...] = ()

    @property
    def is_mosquitto(self) -> bool:
        return self.name == "mosquitto"

    def environment(self) -> dict[str, str]:
        """Of its process."""
        environment = dict(os.environ)
        if self.libraries:
            present = environment.get("LD_LIBRARY_PATH")
            environment["LD_LIBRARY_PATH"] = os.pathsep.join((*self.libraries, *([present] if present else [])))
        return environment


def find_broker(choice: str | None = None) -> Found:
    """The broker that will be used. `choice`: only "mosquitto" or only "amqtt". Raises PartError when there is none."""
    if choice in (None, "mosquitto"):
        places = os.pathsep.join((os.environ.get("PATH", os.defpath), *SBIN))
        for program in filter(None, (shutil.which("mosquitto", path=places), _unpacked())):
            found = _mosquitto(program)
            if found is not None:
                return found
    if choice in (None, "amqtt") and importlib.util.find_spec("amqtt") is not None:
        return Found("amqtt", importlib.metadata.version("amqtt"), sys.executable)
    raise PartError(f"no broker: neither {choice or 'mosquitto nor amqtt'} is there; run `make setup`")


class Broker:
    """One broker process. Raises PartError when it does not start. `host`, `port`: where; the port stays the same."""

    host = "127.0.0.1"

    def __init__(self, folder: Path, authority: Path, log: Path | None = None, choice: str | None = None) -> None:
        self._folder = folder
        self._authority = authority
        self._found = find_broker(choice)
        self.is_mqtt5 = self._found.is_mosquitto
        self.keeps_over_kill = self._found.is_mosquitto
        self.words = f"{self._found.name} {self._found.version}" + ("" if self.is_mqtt5 else " (MQTT 3.1.1 only)")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port(self.host)
        self.part = Part("broker", self._command(), log or folder / "broker.log", CHECKOUT, self._found.environment())

    def start(self) -> None:
        """Start it, again after stop or kill; returns when it listens."""
        for name in CERTIFICATES:
            if not (self._authority / name).exists():
                mend = f"make it with `python -m tools.test_ca {self._authority}`"
                raise PartError(f"broker: {self._authority / name} is not there; {mend}")
        self.part.start()
        self.wait()

    def wait(self) -> None:
        """After a start of `part`: until it listens."""
        try:
            self.part.wait_for(self._ready_words(), START_S)
            self._wait_until_listening()
        except PartError:
            self.part.kill()
            raise

    def stop(self) -> None:
        """End it in good order."""
        self.part.stop()

    def kill(self) -> None:
        """kill -9."""
        self.part.kill()

    def _ready_words(self) -> str:
        return f"mosquitto version {self._found.version} running" if self._found.is_mosquitto else "ready"

    def _command(self) -> list[str]:
        if not self._found.is_mosquitto:
            return [
                *(self._found.program, "-m", "tools.amqtt_broker"),
                *("--host", self.host, "--port", str(self.port), "--authority", str(self._authority)),
            ]
        configuration = self._folder / "mosquitto.conf"
        configuration.write_text(self._configuration())
        return [self._found.program, "-c", str(configuration)]

    def _configuration(self) -> str:
        """mosquitto.conf(5) of 2.0."""
        settings = [
            f"listener {self.port} {self.host}",
            f"cafile {self._authority / 'ca.pem'}",
            f"certfile {self._authority / 'server.pem'}",
            f"keyfile {self._authority / 'server.key'}",
            "tls_version tlsv1.2",  # the oldest that is spoken
            "require_certificate true",
            "use_identity_as_username true",
            "allow_anonymous false",
            "persistence true",
            f"persistence_location {self._folder}/",
            "autosave_on_changes true",  # with 1: sessions are on disk at the end of each turn of its loop
            "autosave_interval 1",
            "max_queued_messages 0",  # a witness that is away for long misses nothing
            f"max_packet_size {PACKET_MAX_BYTES}",
            "sys_interval 0",
            "log_dest stderr",  # its standard output is held back until a buffer is full
            "log_timestamp false",
        ]
        if os.geteuid() == 0:
            settings.append("user root")  # else it becomes `mosquitto`, who may not read keys of mode 0600
        return "\n".join(settings) + "\n"

    def _wait_until_listening(self) -> None:
        try:
            socket.create_connection((self.host, self.port), START_S).close()
        except OSError as error:
            raise PartError(f"broker: {self.host}:{self.port} does not listen: {error.strerror}") from error


def _unpacked() -> str | None:
    program = UNPACKED / "usr" / "sbin" / "mosquitto"
    return str(program) if program.exists() else None


def _mosquitto(program: str) -> Found | None:
    """None when it does not run here: a library is missing, or it is older than MQTT 5 (mosquitto 1.6)."""
    libraries: tuple[str, ...] = ()
    if Path(program).is_relative_to(UNPACKED):
        libraries = tuple(
            str(folder)
            for top in ("usr/lib", "lib")
            for folder in sorted((UNPACKED / top).glob("**/"))
            if any(folder.glob("*.so*"))
        )
    found = Found("mosquitto", "", program, libraries)
    asked = subprocess.run([program, "-h"], capture_output=True, text=True, env=found.environment(), check=False)
    words = asked.stdout.split()
    if words[:2] != ["mosquitto", "version"] or int(words[2].split(".")[0]) < 2:
        return None
    return Found("mosquitto", words[2], program, libraries)


def free_port(host: str = Broker.host) -> int:
    """A port that nobody listens on now, from below those that the kernel lends to clients.

    A client that asks a dead server again and again would sooner or later be lent the server's own port.
    """
    try:
        lent_from = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        lent_from = 32_768  # Linux' default
    while True:
        port = random.SystemRandom().randrange(min(20_000, lent_from - 1), lent_from)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
