"""The pages of docs/use: their code runs and prints what they say, or they say that they are not tested here.

The model behind the server is tests/clients/rule_based.py. `…` in the output of a page stands for anything.
"""

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nanobot.config import load
from tests.clients.browser import browser, opened, origin
from tests.clients.node_packages import NODE, node
from tests.clients.python_packages import programs
from tests.clients.recipes import ADDRESS, USE, blocks
from tests.clients.serving import ROOT, rule_based_server

PAGES = sorted(path for path in USE.glob("*.md") if path.name != "README.md")
UNTESTED = "Not tested here. "
RUN = ("sh", "python", "js")
PROGRAMS = ("aider", "codex", "llm", "open-webui", "opencode")
"""Pages whose recipes are run by a test of their own, tests/clients/test_NAME.py."""
LIBRARIES = ("instructor", "litellm")
"""Pages whose code needs an environment of its own."""
BOUND_S = 100
TELL = 'await fetch("/", { method: "POST", body: answer.textContent });</script>'


def is_tested(page: Path) -> bool:
    return UNTESTED not in page.read_text(encoding="utf-8")


def runs() -> list[tuple[str, int]]:
    return [
        (page.stem, number)
        for page in PAGES
        if is_tested(page) and page.stem not in PROGRAMS
        for number, block in enumerate(blocks(page))
        if block.kind in RUN
    ]


def matches(said: str, output: str) -> bool:
    pattern = ".*".join(re.escape(piece) for piece in output.strip().split("…"))
    return re.search(pattern, said, re.DOTALL) is not None


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rule_based_server(tmp_path_factory.mktemp("used")) as (address, _):
        yield address


@pytest.mark.parametrize(("page", "number"), runs())
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(
    page: str, number: int, address: str, tmp_path: Path
) -> None:
    block = blocks(USE / f"{page}.md")[number]
    python = str(programs("libraries") / "python") if page in LIBRARIES else sys.executable
    said = run(block.kind, block.text.replace(ADDRESS, address), tmp_path, python=python)
    assert said.strip()
    assert '"error"' not in said
    if block.output is not None:
        assert matches(said, block.output), f"printed:\n{said}\nthe page says:\n{block.output}"


def run(kind: str, code: str, directory: Path, *, python: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    if kind == "sh":
        return output(["bash", "-euo", "pipefail", "-c", code], directory, environment)
    if kind == "python":
        return output([python, "-c", code], directory, environment)
    executable = node()
    with tempfile.TemporaryDirectory(dir=NODE, prefix="node_modules.") as beside_the_packages:
        script = Path(beside_the_packages) / "page.mjs"
        script.write_text(code, encoding="utf-8")
        return output([executable, str(script)], directory, environment)


def test_a_page_of_another_origin_reads_an_answer_in_a_browser(tmp_path: Path) -> None:
    browser()
    toml, html = blocks(USE / "browser.md")
    pages = tmp_path / "pages"
    pages.mkdir()
    with origin(pages) as own:
        settings = toml.text.replace("http://localhost:5173", own.url)
        assert own.url in settings
        with rule_based_server(tmp_path / "served", settings=settings) as (address, _):
            page = html.text.replace(ADDRESS, address).replace("</script>", TELL)
            (pages / "index.html").write_text(page, encoding="utf-8")
            with opened(f"{own.url}/index.html", tmp_path / "profile"):
                assert own.told.get(timeout=BOUND_S) == "You said: Hello!"


def output(command: list[str], directory: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_is_run_or_says_that_it_is_not(page: Path) -> None:
    index = (USE / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| .* \| \[{page.name}\]\({page.name}\) \| (.*) \|$", index, re.MULTILINE)
    assert (row == "not tested here") == (not is_tested(page))
    if page.stem in PROGRAMS:
        own = ROOT / "tests" / "clients" / f"test_{page.stem.replace('-', '_')}.py"
        assert f'recipe("{page.stem}"' in own.read_text(encoding="utf-8")
    elif is_tested(page):
        assert page.stem in ("browser", "http-file", "web") or any(name == page.stem for name, _ in runs())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_settings_and_the_json_of_a_page_can_be_read(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.kind == "toml":
            (tmp_path / "nanobot.toml").write_text(block.text, encoding="utf-8")
            load(tmp_path / "nanobot.toml", {}, {})
        elif block.kind == "json":
            json.loads(block.text)


TESTED = {
    "`openai` for Python": tuple(
        f"test_openai_{part}.py" for part in ("python", "tools", "files", "responses")
    ),
    "`openai` for Node": tuple(f"node/{part}.mjs" for part in ("chat", "tools", "files", "responses")),
    "`langchain-openai`": ("test_langchain.py",),
    "`openai-agents`": ("test_openai_agents.py",),
    "`litellm`": ("python/litellm_scenarios.py",),
    "`instructor`": ("python/instructor_scenarios.py",),
    "`fetch`": ("node/fetch.mjs",),
}
SIGNS = {
    "chat": r"question.is.answered|agent_answers\b|gets an answer",
    "streams": r"stream",
    "tools": r"tool",
    "shaped answers": r"parsed|answers_with_a_type",
    "images": r"image",
    "files": r"\bfile|_file",
    "responses": r"responses",
}


@pytest.mark.parametrize("package", TESTED)
def test_what_is_said_to_be_tested_is_tested(package: str) -> None:
    """By the names of the tests, and for responses by what they call."""
    sources = "\n".join(
        (ROOT / "tests" / "clients" / file).read_text(encoding="utf-8") for file in TESTED[package]
    )
    names = "\n".join(
        python + node
        for python, node in re.findall(r'^(?:async )?def (test_\w+)|^test\("(.+?)"', sources, re.MULTILINE)
    )
    index = (USE / "README.md").read_text(encoding="utf-8")
    (header,) = re.findall(r"^\| package \|(.*)\|$", index, re.MULTILINE)
    (row,) = re.findall(rf"^\| {re.escape(package)} \|(.*)\|$", index, re.MULTILINE)
    for feature, said in zip(header.split("|"), row.split("|"), strict=True):
        found = re.search(SIGNS[feature.strip()], sources if feature.strip() == "responses" else names)
        assert (said.strip() == "yes") == (found is not None), f"{package}: {feature}"


def commands() -> list[str]:
    found = {
        command
        for page in USE.glob("*.md")
        for command in re.findall(r"`nanobot (keys [^`]+)`", page.read_text(encoding="utf-8"))
    }
    return sorted(found)


@pytest.mark.parametrize("command", commands())
def test_a_command_of_a_page_runs(command: str, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "NANOBOT_DATA": str(tmp_path / "data"),
    }
    assert output([sys.executable, "-m", "nanobot", *shlex.split(command)], tmp_path, environment)


@pytest.mark.parametrize(
    ("page", "package"),
    [("openai-python", "openai"), ("langchain", "langchain-openai"), ("openai-agents", "openai-agents")],
)
def test_the_versions_named_are_those_tested(page: str, package: str) -> None:
    index = (USE / "README.md").read_text(encoding="utf-8")
    assert f"[{page}.md]({page}.md) | `{package}` {importlib.metadata.version(package)} |" in index


@pytest.mark.parametrize(
    ("page", "package", "lock"),
    [
        ("litellm", "litellm", "python/libraries.txt"),
        ("instructor", "instructor", "python/libraries.txt"),
        ("llm", "llm", "python/libraries.txt"),
        ("aider", "aider-chat", "python/aider.txt"),
        ("codex", "@openai/codex", "agents/package.json"),
        ("opencode", "opencode-ai", "agents/package.json"),
    ],
)
def test_the_versions_named_are_those_of_the_lock_files(page: str, package: str, lock: str) -> None:
    text = (ROOT / "tests" / "clients" / lock).read_text(encoding="utf-8")
    (version,) = re.findall(rf'^(?:{package}==| *"{package}": ")([\w.]+)', text, re.MULTILINE)
    index = (USE / "README.md").read_text(encoding="utf-8")
    assert f"[{page}.md]({page}.md) | `{package}` {version} |" in index


def test_the_versions_named_for_node_are_those_tested() -> None:
    index = (USE / "README.md").read_text(encoding="utf-8")
    wanted = json.loads((NODE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert f"`openai` {wanted['openai']} and {wanted['openai-6'].rpartition('@')[2]}, on Node" in index
