"""A real browser for tests of what it shows: headless Chromium, spoken to through two pipes."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip

AT_3_AND_4 = """
import os, sys
pipes = [os.dup(int(number)) for number in sys.argv[1:3]]
for place, pipe in enumerate(pipes, start=3):
    os.dup2(pipe, place)
    os.set_inheritable(place, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Becomes a program that reads pipe 3 and writes pipe 4, as the browser does."""

PATIENCE = 60.0
"""Seconds that any answer may take."""

CODES = {"Enter": 13, " ": 32, "Escape": 27, "Tab": 9, "ArrowUp": 38, "ArrowDown": 40}


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own in a folder; the test is skipped where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no browser: apt install chromium to test the pages")
    (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
    with (folder / "browser.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", AT_3_AND_4, f"{their_in}", f"{their_out}", program, *FLAGS,
             f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=(their_in, their_out), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    os.close(their_in)
    os.close(their_out)
    try:
        yield Browser(our_out, our_in)
    finally:
        os.close(our_out)
        os.close(our_in)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


class Browser:
    """One page, driven by the DevTools protocol: JSON messages that end in a zero byte."""

    def __init__(self, out: int, into: int) -> None:
        self._out, self._in, self._rest, self._count = out, into, b"", 0
        self._session = ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        found = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of a method of the protocol."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._count:
            self._note(answer)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _read(self) -> Any:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(end - time.monotonic(), 0))
            data = os.read(self._in, 2**20) if ready else b""
            assert data, "the browser does not answer"
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def _note(self, event: Any) -> None:
        facts = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.errors.append(str(facts["exceptionDetails"].get("exception")))
            case "Log.entryAdded" if facts["entry"]["level"] == "error":
                self.errors.append(facts["entry"]["text"])
            case "Network.requestWillBeSent":
                self.requests.append(facts["request"]["url"])

    def open(self, path: Path, *, size: tuple[int, int] = (1400, 900), part: str = "") -> None:
        """Show a file, with what stands behind # in its address."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=path.as_uri() + part)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def wait(self, script: str) -> None:
        """Wait until a script evaluates to true."""
        end = time.monotonic() + PATIENCE
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.01)

    def run(self, script: str) -> Any:
        """What a script evaluates to."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element, on the screen."""
        quoted = json.dumps(selector)
        place = self.run(
            f"(() => {{ const r = document.querySelector({quoted})?.getBoundingClientRect();"
            " return r && [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        assert place, f"there is no {selector}"
        return place[0], place[1]

    def click(self, selector: str) -> None:
        """Click on the middle of an element, as a hand does."""
        self.drag(self.middle(selector), (0, 0))

    def drag(self, start: tuple[float, float], by: tuple[float, float]) -> None:
        """Press at a point, move, and let go."""
        (x, y), (dx, dy) = start, by
        for kind, ox, oy in (("mousePressed", x, y), ("mouseMoved", x + dx, y + dy),
                             ("mouseReleased", x + dx, y + dy)):  # fmt: skip
            self.call(
                "Input.dispatchMouseEvent",
                type=kind, x=ox, y=oy, button="left", buttons=1, clickCount=1,
            )  # fmt: skip

    def wheel(self, at: tuple[float, float], delta: float) -> None:
        """Turn the wheel at a point."""
        x, y = at
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta)

    def press(self, *keys: str) -> None:
        """Press keys one after the other; a letter is typed."""
        for key in keys:
            text = (
                {"text": key if len(key) == 1 else "\r"} if len(key) == 1 or key == "Enter" else {}
            )
            code = CODES.get(key, ord(key[0].upper()))
            for kind in ("keyDown", "keyUp"):
                extra = text if kind == "keyDown" else {}
                self.call(
                    "Input.dispatchKeyEvent",
                    type=kind, key=key, windowsVirtualKeyCode=code, **extra,
                )  # fmt: skip

    def shoot(self, path: Path) -> None:
        """Write what is seen to a .png file."""
        import base64

        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
