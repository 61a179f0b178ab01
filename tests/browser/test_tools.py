"""The chat page in a browser: calls that run, calls that a person is asked about, and what tools ask."""

import sys
from collections.abc import Iterator

import aiohttp
import pytest

from tests.browser.devtools import Browser, Page
from tests.browser.test_conversation import answers, asked
from tests.clients.serving import serving
from tests.flow.mcp_tools import SERVER
from tests.upstream import Upstream, call, streamed, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = f"""
[agent]
tools_tokens = 100000
[mcp.servers.fake]
command = {sys.executable!r}
args = [{SERVER!r}, "new"]
sessions = ["*"]
[[policy]]
tools = {{ calculate = "ask", "@mcp__fake" = "allow", "@shell" = "allow" }}
[shell]
sessions = ["*"]
"""
SUM, OTHER = (
    call(0, "c1", "calculate", '{"expression":"6*7"}'),
    call(1, "c2", "calculate", '{"expression":"6*8"}'),
)
BUTTONS = "[...document.querySelectorAll('.asking button')].map((each) => each.innerText)"


@pytest.fixture(scope="module")
def address(provider: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server listens that asks about sums, and has tools that ask something."""
    asks = {
        "OPENAI_API_KEY": "sk-provider",
        "OPENAI_BASE_URL": provider.url,
        "NANOBOT_MODEL_MAX_RETRIES": "0",
    }
    directory = tmp_path_factory.mktemp("asking")
    with serving(directory, "--model", "openai:test-model", settings=SETTINGS, **asks) as url:
        yield url


async def pending(address: str) -> list[dict[str, str]]:
    async with aiohttp.ClientSession() as http, http.get(f"{address}/v1/approvals?state=pending") as response:
        return list((await response.json())["data"])


async def decide(address: str, approval: str, decision: str) -> None:
    url = f"{address}/v1/approvals/{approval}"
    async with aiohttp.ClientSession() as http, http.post(url, json={"decision": decision}) as response:
        assert response.status == 200


async def offered(address: str, provider: Upstream, tool: str) -> None:
    """Return once the server of the tool is connected: a model is offered it."""
    hello = {"model": "nanobot", "messages": [{"role": "user", "content": "Hello"}]}
    async with aiohttp.ClientSession(headers={"x-session-key": "look"}) as http:
        while True:
            async with http.post(f"{address}/v1/chat/completions", json=hello) as response:
                assert response.status == 200
            tools = provider.requests[-1].json.get("tools", ())
            if tool in [each["function"]["name"] for each in tools]:
                return


async def test_a_call_is_agreed_to_by_a_button_below_the_question(page: Page, provider: Upstream) -> None:
    provider.then(streamed(SUM), streamed(text("It is 42.")))
    await page.ask("Six times seven?")
    await page.until_text("May I make this call?")
    await page.until(f"{BUTTONS}.length === 3")
    assert await page.run(BUTTONS) == ["Run it", "Always in this chat", "Do not run it"]
    await page.click("Run it")
    await page.until_text("It is 42.")
    await page.until(answers(2))
    assert asked(provider)[-1] == "Yes."
    assert await page.run(BUTTONS) == []


async def test_a_call_is_refused_by_a_button(page: Page, provider: Upstream) -> None:
    provider.then(streamed(SUM), streamed(text("I did not.")))
    await page.ask("Six times seven?")
    await page.click("Do not run it", ".asking")
    await page.until_text("I did not.")
    shown = str(provider.requests[-1].json["messages"])
    assert "the user refused this call" in shown
    assert asked(provider)[-1] == "No."


async def test_a_tool_is_agreed_to_for_the_whole_chat(page: Page, provider: Upstream) -> None:
    provider.then(streamed(SUM), streamed(text("It is 42.")), streamed(SUM), streamed(text("Still 42.")))
    await page.ask("Six times seven?")
    await page.click("Always in this chat", ".asking")
    await page.until_text("It is 42.")
    await page.until(answers(2))
    await page.ask("Again?")
    await page.until_text("Still 42.")


async def test_each_of_several_calls_is_decided_on_before_the_turn_goes_on(
    page: Page, provider: Upstream
) -> None:
    provider.then(streamed(SUM, OTHER), streamed(text("One of them.")))
    await page.ask("Both?")
    await page.until("document.querySelectorAll('.asking').length === 2")
    await page.click("Do not run it", ".asking")
    await page.until_text("Not agreed to.")
    await page.click("Run it", ".asking:has(button)")
    await page.until_text("One of them.")
    shown = str(provider.requests[-1].json["messages"])
    assert "the user refused this call" in shown
    assert "'42'" in shown
    assert asked(provider)[-1] == "Go on."


async def test_a_question_is_there_again_after_a_reload(page: Page, provider: Upstream) -> None:
    provider.then(streamed(SUM), streamed(text("It is 42.")))
    await page.ask("Six times seven?")
    await page.until(f"{BUTTONS}.length === 3")
    await page.reload()
    await page.click("Run it", ".asking")
    await page.until_text("It is 42.")


async def test_what_was_decided_elsewhere_meanwhile_is_told_and_goes_on_by_a_button(
    page: Page, provider: Upstream, address: str
) -> None:
    provider.then(streamed(SUM), streamed(text("I did not.")))
    await page.ask("Six times seven?")
    await page.until(f"{BUTTONS}.length === 3")
    for each in await pending(address):
        await decide(address, each["id"], "deny")
    await page.click("Run it", ".asking")
    await page.until_text("Not agreed to.")
    await page.click("Go on", ".asking")
    await page.until_text("I did not.")
    assert "the user refused this call" in str(provider.requests[-1].json["messages"])


async def test_the_question_of_a_tool_is_answered_by_a_form(
    page: Page, provider: Upstream, address: str
) -> None:
    await offered(address, provider, "mcp__fake__ask_many")
    provider.then(streamed(call(0, "c1", "mcp__fake__ask_many", "{}")), streamed(text("Thank you.")))
    await page.ask("Who is it?")
    await page.until("document.querySelector('.asking [name=f0]') !== null")
    await page.type("Ann", ".asking [name=f0]")
    await page.type("abc", ".asking [name=f1]")
    await page.click("Answer", ".asking")
    await page.until_text("Age must be a whole number", ".asking")
    await page.type("41", ".asking [name=f1]")
    await page.click("Answer", ".asking")
    await page.until_text("Thank you.")
    shown = str(provider.requests[-1].json["messages"])
    assert "Ann" in shown
    assert "41" in shown


async def test_a_question_of_yes_or_no_is_answered_by_a_button(
    page: Page, provider: Upstream, address: str
) -> None:
    await offered(address, provider, "mcp__fake__ask_yes")
    provider.then(streamed(call(0, "c1", "mcp__fake__ask_yes", "{}")), streamed(text("Thank you.")))
    await page.ask("With drafts?")
    await page.until(f"{BUTTONS}.length > 0")
    assert await page.run(BUTTONS) == ["Yes", "No", "Do not answer"]
    await page.click("Yes", ".asking")
    await page.until_text("Thank you.")


async def test_two_tabs_decide_once(chrome: Browser, page: Page, provider: Upstream, address: str) -> None:
    provider.then(streamed(SUM), streamed(text("It is 42.")))
    await page.ask("Six times seven?")
    await page.until(f"{BUTTONS}.length === 3")
    other = await chrome.beside(page, await page.run("location.href"))
    await other.click("Run it", ".asking")
    await page.until_text("It is 42.")
    await page.until(answers(2))
    await page.until(f"{BUTTONS}.length === 0")
    await other.until(f"{BUTTONS}.length === 0")
    assert asked(provider) == ["Six times seven?", "Yes."]


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is for Linux")
async def test_the_last_lines_of_a_command_are_shown_while_it_runs(page: Page, provider: Upstream) -> None:
    line = '{"command":"echo early; while [ ! -e go ]; do sleep 0.1; done; echo late"}'
    provider.then(
        streamed(call(0, "c1", "run_command", line)),
        streamed(text("Stopped.")),
    )
    await page.ask("Run it")
    await page.until_text("early", ".told")
    await page.click("Stop")
    await page.until_text("Stopped before its end.")
    assert await page.run("document.querySelectorAll('.told').length") == 0
