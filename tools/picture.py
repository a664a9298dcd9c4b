"""Makes the picture of the README: a demo runs for a while, Chromium looks at its dashboard.

    make picture                          # bridge/dashboard.png
    make picture ARGS="--minutes 15 --colours dark -o /tmp/page.png --whole"

The demo is the real one and so are the figures on the picture. Exit status 0, or 3 when demo or browser cannot start.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

CHECKOUT = Path(__file__).resolve().parents[1]
PICTURE = CHECKOUT / "bridge" / "dashboard.png"
SCREEN = {"width": 1366, "height": 1032}  # ends below the strip of coverage
PICTURE_MAX_BYTES = 300_000  # of a picture that every reader of the README loads
START_S = 120.0
FAULTS = ("--fault", "gas:mute:150-175", "--fault", "dust:crc:330-")  # so that a gap is seen behind and one present


def find_browser() -> str:
    """Path of the browser; empty where there is none."""
    finder = CHECKOUT / "tools" / "setup" / "browser.py"
    return subprocess.run(
        [sys.executable, finder, "--print"], capture_output=True, text=True, check=False
    ).stdout.strip()


class Demo:
    """A running demo; `dashboard` is where its page is."""

    def __init__(self, arguments: list[str]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "plumeproof", "demo", *arguments],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.dashboard = ""
        self.lines: list[str] = []
        self._is_ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> bool:
        """Until it says where its page is; False when it does not."""
        return self._is_ready.wait(START_S) and bool(self.dashboard)

    def stop(self) -> None:
        """End it and whatever it started."""
        self._child.send_signal(signal.SIGTERM)
        self._child.wait(60)
        self._reader.join()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self.lines.append(line.rstrip())
            found = re.search(r"dashboard\s+(http://\S+)", line)
            if found:
                self.dashboard = found[1]
                self._is_ready.set()
        self._is_ready.set()  # it has ended


def take(url: str, browser: str, target: Path, colours: str, is_whole: bool) -> None:
    """The first screen of the page, or all of it."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's own sandbox refuses root
        started = playwright.chromium.launch(executable_path=browser, args=arguments)
        page = started.new_page(viewport=SCREEN, color_scheme=colours)  # type: ignore[arg-type]
        page.goto(url)
        page.locator(".module .trend").first.wait_for()
        page.wait_for_timeout(4_000)  # one more look at values and trend each
        page.screenshot(path=target, full_page=is_whole)
        started.close()


def main() -> int:
    """Run the demo, take the picture."""
    parser = argparse.ArgumentParser(prog="make picture", description="the README's picture, from a running demo")
    parser.add_argument("--minutes", type=float, default=6.0, help="how long the demo runs before (default: 6)")
    parser.add_argument("--colours", choices=("light", "dark"), default="light")
    parser.add_argument("--whole", action="store_true", help="the whole page, not only its first screen")
    parser.add_argument("-o", "--output", type=Path, default=PICTURE)
    parser.add_argument("demo", nargs="*", help="after `--`: arguments of the demo (default: two faults)")
    args = parser.parse_args()
    browser = find_browser()
    if not browser:
        print("picture: no browser; run `make setup`", file=sys.stderr)
        return 3
    demo = Demo(args.demo or list(FAULTS))
    try:
        if not demo.wait():
            print(f"picture: the demo did not start: {demo.lines[-1] if demo.lines else 'no output'}", file=sys.stderr)
            return 3
        time.sleep(args.minutes * 60)
        take(demo.dashboard, browser, args.output, args.colours, args.whole)
    finally:
        demo.stop()
    size = args.output.stat().st_size
    print(f"{args.output}: {size} bytes" + ("" if size <= PICTURE_MAX_BYTES else f", more than {PICTURE_MAX_BYTES}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
