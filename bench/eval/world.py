"""What a task works with: a server on a directory of its own, a web site, and a client."""

import contextlib
import http.client
import json
import shutil
import string
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import openai

from bench.eval.scripted import ScriptedServer
from bench.eval.site import Site
from bench.eval.talk import Script
from bench.eval.task import Failed, check
from bench.machine import Server, free_port

_START_S: Final = 300.0
_LOGGED_S: Final = 10.0
_POLL_S: Final = 0.005
_ENDED: Final = ("done", "failed", "cancelled")


class Answer(msgspec.Struct, frozen=True):
    """What a user read, and the turn that said it."""

    text: str
    turn_id: str


class RealModel(msgspec.Struct, frozen=True):
    """A model that answers in the place of the scripts. `settings`: TOML that configures it; `environment`:
    where its keys are.
    """

    name: str
    settings: str = ""
    environment: Mapping[str, str] = {}


class World:
    """The server and what is around it. `outside`: a directory beside its data; `patience_s`: how long a turn
    may take.
    """

    def __init__(
        self, directory: Path, site: Site, model: ScriptedServer | RealModel, patience_s: float
    ) -> None:
        self.data = directory / "data"
        self.outside = directory / "outside"
        self.site = site
        self.patience_s = patience_s
        self._model = model
        self._settings = directory / "nanobot.toml"
        self._log = directory / "server.log"
        self._server: Server | None = None
        self._port = free_port()
        for path in (directory, self.data, self.outside):
            # Commands run as other users where the server is root.
            path.mkdir(exist_ok=True)
            path.chmod(0o755)

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self._port}"

    # The server ---------------------------------------------------------------------------------------

    def configure(self, settings: str) -> None:
        filled = string.Template(settings).substitute(
            outside=self.outside, site=self.site.host, python=sys.executable
        )
        more = self._model.settings if isinstance(self._model, RealModel) else ""
        self._settings.write_text(f"{more}\n{filled}", encoding="utf-8")

    def start(self) -> None:
        """Start the server, and return once it answers."""
        if isinstance(self._model, RealModel):
            environment, model = dict(self._model.environment), self._model.name
        else:
            environment = {"OPENAI_BASE_URL": self._model.url, "OPENAI_API_KEY": "eval"}
            model = "openai:scripted"
        places = ["--config", str(self._settings), "--data", str(self.data)]
        command = ["-m", "nanobot", "serve", "--port", str(self._port), *places, "--model", model]
        self._server = Server("nanobot", command, self._port, environment=environment, log=self._log)
        self._server.wait_ready("/health", _START_S)

    def kill(self) -> None:
        """End the server with SIGKILL, in the middle of whatever it does."""
        assert self._server is not None
        self._server.kill()
        self._server = None

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def last_words(self) -> str:
        return self._server.last_words() if self._server is not None else ""

    @property
    def is_scripted(self) -> bool:
        return not isinstance(self._model, RealModel)

    @property
    def script_errors(self) -> list[str]:
        return [] if isinstance(self._model, RealModel) else self._model.errors

    @property
    def script_log(self) -> list[str]:
        return [] if isinstance(self._model, RealModel) else list(self._model.log)

    # What a user does ---------------------------------------------------------------------------------

    def ask(self, key: str, text: str, parts: Sequence[Mapping[str, Any]] = ()) -> Answer:
        """Say it to the agent, with OpenAI's client, and return what it answers."""
        content = [{"type": "text", "text": text}, *parts] if parts else text
        with openai.OpenAI(
            base_url=f"{self.url}/v1",
            api_key="eval",
            max_retries=0,
            timeout=self.patience_s,
            default_headers={"x-session-key": key},
        ) as client:
            try:
                raw = client.chat.completions.with_raw_response.create(
                    model="nanobot",
                    messages=[{"role": "user", "content": content}],  # type: ignore[misc, list-item]
                )
            except openai.OpenAIError as error:
                raise Failed(f"the question failed: {error}") from error
        return Answer(raw.parse().choices[0].message.content or "", raw.headers["x-turn-id"])

    def begin(self, key: str, text: str) -> str:
        """Say it to the agent, and hang up: the turn, whose id is returned, runs to its end."""
        connection = self._connection()
        body = {"model": "nanobot", "stream": True, "messages": [{"role": "user", "content": text}]}
        headers = {
            "content-type": "application/json",
            "x-session-key": key,
            "x-events": "tools",
            "x-disconnect-grace": "-1",
        }
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        turn_id = response.headers["x-turn-id"]
        # Both have the socket.
        response.close()
        connection.close()
        if turn_id is None:
            raise Failed(f"the question failed with status {response.status}")
        return turn_id

    def ended(self, turn_id: str) -> Answer:
        """Wait for the end of the turn, and return its answer.

        Raises:
            Failed: it did not end well, or not in time.
        """
        state: dict[str, Any] = {}

        def is_over() -> bool:
            nonlocal state
            state = self.get(f"/v1/turns/{turn_id}")
            return state["status"] in _ENDED

        self.until(is_over, "the end of the turn")
        check(state["status"] == "done", f"the turn ended as {state['status']}: {state.get('error')}")
        answer = state["answer"]
        return Answer(answer if isinstance(answer, str) else str((answer or {}).get("content")), turn_id)

    def upload(self, key: str, name: str, content: bytes) -> str:
        """Upload a file to the session, and return its id."""
        mark = "eval-boundary-5d1c"
        body = (
            f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
            f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        ).encode() + (content + f"\r\n--{mark}--\r\n".encode())
        status, answer = self.request(
            "POST", "/v1/files", body, {"content-type": f"multipart/form-data; boundary={mark}"}, key=key
        )
        check(status == 200, f"the upload of {name} failed: {answer[:200]!r}")
        return str(json.loads(answer)["id"])

    # What is there ------------------------------------------------------------------------------------

    def file(self, key: str, path: str) -> str:
        """Return the text of a file of the session's workspace.

        Raises:
            Failed: it is not there.
        """
        name = quote(f"nanobot:workspace/{path}", safe="")
        status, content = self.request("GET", f"/v1/files/{name}/content", key=key)
        check(status == 200, f"there is no file {path} in the workspace")
        return content.decode("utf-8", "replace")

    def files(self, key: str) -> set[str]:
        """Return the paths of the files of the session's workspace."""
        listed = self.get("/v1/files?purpose=assistants_output&limit=10000", key=key)
        return {str(each["filename"]) for each in listed["data"]}

    def workspace(self) -> Path:
        """Return the directory of the only workspace that there is."""
        found = list((self.data / "workspaces").glob("*/files"))
        check(len(found) == 1, f"there are {len(found)} workspaces where one is expected")
        return found[0]

    def messages(self, key: str) -> list[dict[str, Any]]:
        """Return the transcript, oldest message first."""
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            page = self.get(f"/v1/sessions/{quote(key, safe='')}/messages?limit=100{after}")
            found += page["data"]
            if not page["has_more"]:
                return found
            after = f"&after={page['last_id']}"

    def results(self, key: str, tool: str) -> list[str]:
        """Return what came of the calls of the tool, as the transcript has it."""
        messages = self.messages(key)
        names = {
            each["id"]: each["function"]["name"]
            for message in messages
            for each in message.get("tool_calls") or ()
        }
        return [
            str(message["content"])
            for message in messages
            if message["role"] == "tool" and names.get(message["tool_call_id"]) == tool
        ]

    def facts(self, key: str) -> list[str]:
        """Return what is remembered in reach of the session."""
        return [str(fact["text"]) for fact in self.get("/v1/memory?limit=100", key=key)["data"]]

    def approvals(self, state: str = "pending") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/v1/approvals?state={state}")["data"]
        return found

    def calls(self, tool: str, at_least: int = 1) -> list[dict[str, Any]]:
        """Return what the audit log has of calls of the tool, once there are so many."""
        path = self.data / "audit.jsonl"
        calls: list[dict[str, Any]] = []

        def has_enough() -> bool:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            entries = [each for each in map(json.loads, lines) if each["operation"] == "tool call"]
            calls[:] = [each["call"] for each in entries if each["call"]["tool"] == tool]
            return len(calls) >= at_least

        # It is written a moment after what it tells of.
        self.until(has_enough, f"the audit log's line {at_least} of {tool}", within_s=_LOGGED_S)
        return calls

    def get(self, path: str, key: str = "") -> dict[str, Any]:
        status, content = self.request("GET", path, key=key)
        check(status == 200, f"GET {path} answered {status}: {content[:200]!r}")
        found: dict[str, Any] = json.loads(content)
        return found

    def post(self, path: str, body: Mapping[str, Any], key: str = "") -> dict[str, Any]:
        status, content = self.request(
            "POST", path, json.dumps(body).encode(), {"content-type": "application/json"}, key=key
        )
        check(status == 200, f"POST {path} answered {status}: {content[:200]!r}")
        answer: dict[str, Any] = json.loads(content)
        return answer

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        key: str = "",
    ) -> tuple[int, bytes]:
        """Send a request, and return the status and the body of its answer."""
        connection = self._connection()
        try:
            connection.request(
                method, path, body, {**(headers or {}), **({"x-session-key": key} if key else {})}
            )
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def until(
        self,
        condition: Callable[[], object],
        what: str,
        *,
        at_once: bool = False,
        within_s: float | None = None,
    ) -> None:
        """Return once the condition holds. `at_once`: look without a pause. `within_s`: it need not come, and
        is waited for no longer.

        Raises:
            Failed: it does not within `patience_s`.
        """
        deadline = time.monotonic() + (within_s or self.patience_s)
        while not condition():
            if time.monotonic() > deadline:
                if within_s is not None:
                    return
                raise Failed(f"{what} did not come within {self.patience_s:g} s")
            if not at_once:
                time.sleep(_POLL_S)

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=self.patience_s)


@contextlib.contextmanager
def a_world(directory: Path, model: Script | RealModel, patience_s: float) -> Iterator[World]:
    """Yield a world without a server yet; all that runs in it ends with it."""
    with contextlib.ExitStack() as stack:
        site = stack.enter_context(Site().serving())
        if isinstance(model, RealModel):
            answering: ScriptedServer | RealModel = model
        else:
            answering = stack.enter_context(ScriptedServer(model).serving())
        world = World(directory, site, answering, patience_s)
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        stack.callback(world.stop)
        yield world


def is_running(mark: str) -> bool:
    """Return whether a process has the mark among its arguments."""
    wanted = mark.encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if wanted in path.read_bytes():
                return True
    return False
