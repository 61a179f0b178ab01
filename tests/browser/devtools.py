"""A headless Chromium, driven by the DevTools protocol: pages that tests click, type and look at."""

import asyncio
import base64
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from tests.clients.browser import browser

BOUND_S = 30.0
"""The limit for all waiting; only a failure reaches it."""
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
_KEYS = {"Enter": 13, "Escape": 27, "Tab": 9}
Listener = Callable[[dict[str, Any]], None]


class JavaScriptError(Exception):
    """A script of the test threw, or the browser refused a command."""


class Browser:
    """The browser; `page` opens a tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._listeners: dict[str, Listener] = {}
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            reply = json.loads(message.data)
            if "id" in reply:
                waiting = self._waiting.pop(reply["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
            elif listener := self._listeners.get(reply.get("sessionId", "")):
                listener(reply)

    async def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command."""
        number = next(self._numbers)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json(
            {
                "id": number,
                "method": method,
                "params": parameters,
                **({"sessionId": session} if session else {}),
            }
        )
        async with asyncio.timeout(BOUND_S):
            reply = await waiting
        if "error" in reply:
            raise JavaScriptError(f"{method}: {reply['error']['message']}")
        result: dict[str, Any] = reply["result"]
        return result

    async def page(self, url: str, *, width: int = 1200, height: int = 800) -> "Page":
        """Open a tab with storage of its own."""
        context = (await self.send("Target.createBrowserContext"))["browserContextId"]
        return await self._open(context, url, width, height)

    async def beside(self, page: "Page", url: str) -> "Page":
        """Open a tab beside `page`, with the same storage."""
        return await self._open(page.context, url, 1200, 800)

    async def _open(self, context: str, url: str, width: int, height: int) -> "Page":
        target = await self.send(
            "Target.createTarget", url="about:blank", browserContextId=context, newWindow=True
        )
        attached = await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        page = Page(self, attached["sessionId"], context)
        self._listeners[attached["sessionId"]] = page.receive
        for domain in ("Page", "Runtime", "Network", "Log"):
            await page.send(f"{domain}.enable")
        await page.resize(width, height)
        await page.go(url)
        return page

    async def close(self) -> None:
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading


class Page:
    """A tab. `requests`: what it asked for; `complaints`: errors of its scripts, what its policy stopped."""

    def __init__(self, browser: Browser, session: str, context: str) -> None:
        self._browser = browser
        self._session = session
        self.context = context
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def receive(self, event: dict[str, Any]) -> None:
        parameters = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif event["method"] == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif event["method"] == "Log.entryAdded" and parameters["entry"]["source"] in (
            "security",
            "violation",
        ):
            self.complaints.append(parameters["entry"]["text"])

    async def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self._browser.send(method, self._session, **parameters)

    async def resize(self, width: int, height: int) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    async def dark(self, *, on: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def offline(self, *, on: bool) -> None:
        await self.send(
            "Network.emulateNetworkConditions",
            offline=on,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    async def go(self, url: str) -> None:
        await self.send("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def reload(self) -> None:
        await self.run("globalThis.isOld = true")
        await self.send("Page.reload")
        await self.until("document.readyState === 'complete' && !globalThis.isOld")

    async def run(self, script: str) -> Any:
        """Return what the expression is, or what its promise brings."""
        reply = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in reply:
            details = reply["exceptionDetails"]
            raise JavaScriptError(details.get("exception", {}).get("description") or details["text"])
        return reply["result"].get("value")

    async def until(self, condition: str) -> None:
        """Return once the expression is true."""
        try:
            async with asyncio.timeout(BOUND_S):
                # Each look is a round trip to the browser, which has its own work between.
                while not await self._is(condition):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            text = await self.run("document.body.innerText")
            raise AssertionError(f"never came true: {condition}\n{self.complaints}\n{text}") from None

    async def _is(self, condition: str) -> bool:
        try:
            return bool(await self.run(condition))
        except JavaScriptError:
            # The page is being replaced by another one.
            return False

    async def until_text(self, text: str, where: str = "main") -> None:
        """Return once `text` can be read there."""
        await self.until(f"document.querySelector({where!r})?.innerText.includes({json.dumps(text)})")

    async def text(self, where: str = "main") -> str:
        return str(await self.run(f"document.querySelector({where!r}).innerText"))

    async def click(self, label: str, where: str = "body") -> None:
        """Click the button (link, summary) that is called `label` inside the last element of `where`."""
        find = f"""(() => {{
            const places = document.querySelectorAll({where!r});
            const all = places[places.length - 1]?.querySelectorAll("button, a, summary") ?? [];
            return [...all].find((each) => !each.disabled && each.checkVisibility()
                && (each.getAttribute("aria-label") ?? each.innerText.trim()) === {json.dumps(label)});
        }})()"""
        await self.until(f"{find} !== undefined")
        await self.run(f"{find}.click()")

    async def type(self, text: str, where: str = "#message") -> None:
        """Type into a field, as a keyboard does."""
        await self.until(f"document.querySelector({where!r}) !== null")
        await self.run(
            f"(() => {{ const it = document.querySelector({where!r}); it.focus(); it.select(); }})()"
        )
        await self.send("Input.insertText", text=text)

    async def press(self, key: str, modifiers: int = 0) -> None:
        code = _KEYS[key]
        for kind in ("keyDown", "keyUp"):
            await self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                modifiers=modifiers,
                **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}),
            )

    async def ask(self, text: str) -> None:
        """Write a message and send it."""
        await self.type(text)
        await self.press("Enter")

    async def picture(self, path: Path) -> None:
        """Write a screenshot."""
        shot = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Browser]:
    """Run a browser with an empty profile; skip the test where there is none."""
    process = await asyncio.create_subprocess_exec(
        browser(),
        *_OPTIONS,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(BOUND_S):
            address = await _address(process)
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(address, max_msg_size=0) as socket,
        ):
            driven = Browser(socket)
            try:
                yield driven
            finally:
                await driven.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Return where the browser listens, as it says itself."""
    assert process.stderr is not None
    said = b""
    while line := await process.stderr.readline():
        said += line
        _, listens, address = line.decode().partition("DevTools listening on ")
        if listens:
            return address.strip()
    raise AssertionError(f"the browser ended before it listened: {said.decode()}")
