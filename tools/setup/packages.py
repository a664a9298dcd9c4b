"""System packages by Debian's tools: installed with root or sudo, or named in one line for the administrator.

Everything that a machine lacks is collected first, so that one command installs it and one line names it. Standard
library only; talks on standard error, so that the last line of a command stays the command's own.
"""

from __future__ import annotations

import functools
import grp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK_WAIT_S = 300  # a fresh machine often installs its own updates in its first minutes
ADMINISTRATORS = {"sudo", "wheel", "admin"}  # groups whose members may use sudo as it comes


class Unobtainable(Exception):
    """Something needed cannot be had; one line: what, why and the mend."""


def say(text: str) -> None:
    """A line for the person who waits."""
    print(f"set-up: {text}", file=sys.stderr, flush=True)


def run(*command: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a command; its last lines become the error when it fails."""
    answer = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        tail = " | ".join((answer.stderr or answer.stdout).strip().splitlines()[-3:])
        raise Unobtainable(f"{' '.join(command[:4])} failed: {tail}")
    return answer.stdout


@functools.cache
def _elevation() -> tuple[str, ...] | None:
    """What to put before a command that needs rights; None without rights."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo") is None:
        return None
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ("sudo", "-n")
    groups = {entry.gr_name for entry in grp.getgrall() if entry.gr_gid in os.getgroups()}
    # A person at a terminal can be asked for the password; sudo does that on the terminal itself.
    if not (sys.stdin.isatty() and groups & ADMINISTRATORS):
        return None
    say("system packages are missing; sudo will ask for your password to install them")
    return ("sudo",)


def may_install() -> bool:
    """Whether packages can be installed here without asking anybody."""
    return _elevation() is not None


def is_ubuntu() -> bool:
    """Whether this is Ubuntu, or built on it."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"^ID(_LIKE)?=.*\bubuntu\b", text, re.MULTILINE) is not None


@functools.cache
def refresh() -> None:
    """Read the package lists anew, once a run; a source that does not answer need not be the one that counts."""
    elevation = _elevation()
    if elevation is None:
        return
    try:
        run(*elevation, "apt-get", "update", "-q")
    except Unobtainable as reason:
        say(f"{reason}; going on with the package lists that are there")


def candidate(package: str) -> tuple[int, int] | None:
    """(major, minor) of what the package manager would install; None when it knows no such package."""
    if shutil.which("apt-cache") is None:
        return None
    policy = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Candidate: (?:\d+:)?(\d+)\.(\d+)", policy)
    return (int(found[1]), int(found[2])) if found else None


def install(*packages: str) -> None:
    """Install packages. Raises Unobtainable naming all of them when there is no right to."""
    elevation = _elevation()
    if elevation is None:
        raise Unobtainable(
            f"not root and no sudo: ask the administrator for `apt-get install {' '.join(packages)}`, then run again"
        )
    refresh()
    say(f"installing the system packages {' '.join(packages)}")
    run(
        *elevation, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT_S}",
        "install", "-y", "--no-install-recommends", *packages,
    )  # fmt: skip


def private_index(folder: Path, sources: str | None = None) -> dict[str, str]:
    """Environment for apt-get with lists of its own below `folder`: no rights needed, the system's stay as they are.

    `sources`: lines of a sources.list instead of the system's. Raises Unobtainable.
    """
    if shutil.which("apt-get") is None:
        raise Unobtainable("no apt-get here: this is neither Debian nor Ubuntu")
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True)
    settings = [
        f'Dir::State::Lists "{folder}/lists";',
        f'Dir::Cache "{folder}";',
        'Acquire::Languages "none";',
        'APT::Sandbox::User "";',  # the system's download user may not write here
        'APT::Update::Post-Invoke "";',
        'APT::Update::Post-Invoke-Success "";',
    ]
    if sources is not None:
        (folder / "sources.list").write_text(sources)
        settings += [f'Dir::Etc::SourceList "{folder}/sources.list";', 'Dir::Etc::SourceParts "-";']
    (folder / "aptrc").write_text("\n".join(settings) + "\n")
    env = {**os.environ, "APT_CONFIG": str(folder / "aptrc")}
    run("apt-get", "update", "-q", cwd=folder, env=env)
    return env


def unpack(package: str, target: Path) -> None:
    """A package and what it needs beyond the installed ones, unpacked below `target`. Raises Unobtainable."""
    with tempfile.TemporaryDirectory() as scratch_name:
        scratch = Path(scratch_name)
        env = private_index(scratch)
        plan = run("apt-get", "install", "-s", "--no-install-recommends", package, cwd=scratch, env=env)
        names = re.findall(r"^Inst (\S+)", plan, re.MULTILINE)
        if not names:
            raise Unobtainable(f"{package} is installed already and does not run here")
        run("apt-get", "download", "-q", *names, cwd=scratch, env=env)  # apt checks size, hash and signature
        new = target.with_name(target.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for archive in sorted(scratch.glob("*.deb")):
            run("dpkg-deb", "-x", str(archive), str(new))
        # Renamed into place, so that an interrupted set-up leaves no half a tree.
        shutil.rmtree(target, ignore_errors=True)
        new.replace(target)
