"""Tries both commands in a clean Debian or Ubuntu: debootstrap, python3, python3-venv and make, nothing else prepared.

    make trial ARGS="bookworm"                        # make test and a demo of 60 s, as root
    make trial ARGS="trixie --who sudo"               # as an ordinary user with sudo
    make trial ARGS="trixie --who user -- make setup" # as one without: expected to name what is missing

A fresh `git clone` of this checkout's HEAD is put into a copy of the root below --dir. The mounts live in a namespace
of their own and are gone when the trial ends. What this machine's network needs inside (package settings, certificates)
is named with --also and --env, so that nothing of it stands here. Needs root and debootstrap. Exit status 0 when every
command ended well, 1 otherwise, 2 wrong usage, 3 when the root cannot be made.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tools" / "setup"))

import interpreter  # noqa: E402 - the set-up's files lie beside each other, not in a package
import packages  # noqa: E402
from packages import Unobtainable, run, say  # noqa: E402

SUITES = {"bookworm": "debian", "trixie": "debian", "noble": "ubuntu"}
SCRIPTS = {"debian": ("sid",), "ubuntu": ("gutsy",)}
UBUNTU_KEYRING = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
UBUNTU_MIRROR = "http://archive.ubuntu.com/ubuntu"  # Ubuntu's own name
FOLDER = "/var/tmp/plumeproof-trial"  # noqa: S108 - refused when it is not root's own
PREPARED = "python3,python3-venv,make"
WHO = ("root", "sudo", "user")
PERSON = "newcomer"
COMMANDS = ("make test", 'make demo ARGS="--seconds 60 --json"', "make setup")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_base(folder: Path, suite: str, mirror: str) -> Path:
    """The clean root, kept for the next trial."""
    base = folder / f"{suite}.base"
    if base.exists():
        return base
    if shutil.which("debootstrap") is None:
        packages.install("debootstrap")
    say(f"debootstrap of {suite} from {mirror}")
    new = folder / f"{suite}.new"
    shutil.rmtree(new, ignore_errors=True)
    # A debootstrap older than the suite has no script of that name: all of a distribution share one.
    script = () if Path("/usr/share/debootstrap/scripts", suite).exists() else SCRIPTS[SUITES[suite]]
    # Ubuntu keeps python3-venv, mosquitto and micropython in `universe`, which its images know as well.
    sort = ("--components=main,universe",) if SUITES[suite] == "ubuntu" else ()
    if sort and Path(UBUNTU_KEYRING).exists():
        sort += (f"--keyring={UBUNTU_KEYRING}",)
    elif sort:
        say("Ubuntu's archive keys are not on this machine: the signature over the root's packages is not checked")
    run("debootstrap", "--variant=minbase", f"--include={PREPARED}", *sort, suite, str(new), mirror, *script)
    return new.rename(base)


def make_root(base: Path, who: str, also: list[Path]) -> Path:
    """A copy of the clean root with the checkout's HEAD, a person, and what the network needs."""
    root = base.with_name(f"{base.name.removesuffix('.base')}.{who}")
    if root.exists():
        shutil.rmtree(root)
    run("cp", "-a", "--reflink=auto", str(base), str(root))
    for path in (Path("/etc/resolv.conf"), Path("/etc/hosts"), *(path for path in also if path.is_file())):
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(path, target)
    for path in also:
        if path.is_dir():
            (root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
    if who != "root":
        run("chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", PERSON)
    if who == "sudo":
        run("chroot", str(root), "apt-get", "update", "-q")
        run("chroot", str(root), "apt-get", "install", "-y", "-q", "--no-install-recommends", "sudo")
        (root / "etc/sudoers.d/trial").write_text(f"{PERSON} ALL=(ALL) NOPASSWD: ALL\n")
    clone = root / home_of(who).relative_to("/") / "plumeproof"
    run("git", "clone", "-q", "--no-hardlinks", str(CHECKOUT), str(clone))
    if who != "root":
        run("chroot", str(root), "chown", "-R", f"{PERSON}:{PERSON}", str(home_of(who)))
    return root


def home_of(who: str) -> Path:
    return Path("/root") if who == "root" else Path("/home") / PERSON


def enter(root: Path, who: str, command: str, also: list[Path], names: list[str]) -> tuple[int, float, str]:
    """Run a command inside; (status, seconds, last line). Its output goes to this terminal and to a log."""
    environment = {"PATH": PATH, "HOME": str(home_of(who)), "LANG": "C.UTF-8", "TERM": "dumb"}
    environment |= {name: os.environ[name] for name in names if name in os.environ}
    mounts = ["mount -t proc proc {root}/proc", "mount --rbind /sys {root}/sys", "mount --rbind /dev {root}/dev"]
    mounts += [f"mount --bind -o ro {path} {{root}}{path}" for path in also if path.is_dir()]
    inside = f"cd {home_of(who)}/plumeproof && {command}"
    person = ["--userspec", f"{PERSON}:{PERSON}"] if who != "root" else []
    chroot = ["chroot", *person, str(root), "env", "-i", *(f"{name}={value}" for name, value in environment.items())]
    script = " && ".join(line.format(root=shlex.quote(str(root))) for line in mounts)
    script += f" && exec {shlex.join([*chroot, 'sh', '-c', inside])}"
    log = root.parent / f"{root.name}.log"
    started = time.monotonic()
    last = ""
    with log.open("a") as lines:
        lines.write(f"$ {command}\n")
        # A PID namespace too: whatever a command leaves running ends with it.
        child = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", flush=True)
            lines.write(line)
            last = line.strip() or last
    return child.wait(), time.monotonic() - started, last


def main() -> int:
    """Run the trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--who", choices=WHO, default="root", help="who types the commands (default: root)")
    parser.add_argument("--dir", type=Path, default=Path(FOLDER), help=f"where the roots lie (default: {FOLDER})")
    parser.add_argument("--mirror", help="default: the one this machine uses, or the distribution's own")
    parser.add_argument("--also", type=Path, action="append", default=[], metavar="PATH",
                        help="file (copied) or folder (read-only) of this machine to have inside")  # fmt: skip
    parser.add_argument("--env", action="append", default=[], metavar="NAME", help="variable of this shell to have")
    parser.epilog = "After `--`: the commands to run; by default `make test`, a demo of 60 s, and `make setup` again."
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    args, commands = parser.parse_args(given[:end]), given[end + 1 :]
    if os.geteuid() != 0:
        print("trial: only root can make a root; call it with sudo", file=sys.stderr)
        return 2
    also = [path.absolute() for path in args.also]
    args.dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    if args.dir.is_symlink() or args.dir.stat().st_uid != 0:
        print(f"trial: {args.dir} is not root's own; name another with --dir", file=sys.stderr)
        return 2
    try:
        mirror = args.mirror or (UBUNTU_MIRROR if SUITES[args.suite] == "ubuntu" else interpreter.mirror())
        root = make_root(make_base(args.dir, args.suite, mirror), args.who, also)
    except Unobtainable as reason:
        print(f"trial: {reason}", file=sys.stderr)
        return 3
    results = [(command, *enter(root, args.who, command, also, args.env)) for command in commands or COMMANDS]
    print(f"\n{args.suite}, {args.who}:")
    for command, status, seconds, last in results:
        print(f"  status {status}, {seconds:.0f} s: {command}\n    {last[:500]}")
    return 0 if all(status == 0 for _, status, _, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
