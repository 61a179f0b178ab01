"""The chat page in a browser: asking, stopping, editing, reloading, and several tabs."""

import json

import pytest

from tests.browser.devtools import Browser, Page
from tests.upstream import Gate, Upstream, call, reasoning, refused, silent, streamed, text

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWERS = "document.querySelectorAll('article.answer')"
IDLE = "![...document.querySelectorAll('button')].some((each) => each.innerText === 'Stop')"


def answers(count: int) -> str:
    """Return the condition that there are `count` whole answers, which look as at the last look: they are
    drawn a few blocks at a time.
    """
    are_stored = f"[...{ANSWERS}].every((each) => each.innerText.includes('Fork'))"
    are_drawn = (
        f"globalThis.looked === (globalThis.looked = [...{ANSWERS}].map((each) => each.innerHTML).join())"
    )
    return f"{ANSWERS}.length === {count} && {IDLE} && {are_stored} && {are_drawn}"


def asked(provider: Upstream) -> list[str]:
    """Return what people said in the newest request to the model."""
    messages = provider.requests[-1].json["messages"]
    return [str(each["content"]).split("\n\nToday is ")[0] for each in messages if each["role"] == "user"]


async def test_a_conversation_goes_on_and_has_a_title(page: Page, provider: Upstream) -> None:
    provider.then(streamed(text("It is "), text("**four**.")), streamed(text("Six.")))
    await page.ask("What is two and two?")
    await page.until_text("It is four.")
    await page.ask("And two more?")
    await page.until(answers(2))
    assert asked(provider) == ["What is two and two?", "And two more?"]
    assert await page.text("h1") == "What is two and two?"
    assert await page.text("[role=status]") == "Six."
    assert "What is two and two?" in await page.text(".chats")


async def test_an_answer_is_shown_while_it_comes_with_thoughts_and_tools(
    page: Page, provider: Upstream
) -> None:
    before, after = Gate(), Gate()
    provider.then(
        streamed(
            reasoning("Let me see"),
            text("First, "),
            before,
            call(0, "c1", "calculate", '{"expression":"6*7"}'),
        ),
        streamed(text("the result is 42."), after),
    )
    await page.ask("Six times seven?")
    await page.until_text("First,")
    assert await page.run(f"{ANSWERS}[0].getAttribute('aria-busy')") == "true"
    before.open()
    await page.until_text("the result is 42.")
    after.open()
    await page.until(answers(1))
    await page.click("Tool calculate", "article.answer")
    await page.until_text("6*7")
    await page.click("Thought", "article.answer")
    await page.until_text("Let me see")
    await page.reload()
    await page.until(answers(1))
    assert await page.run("document.querySelectorAll('details').length") == 2


async def test_stop_keeps_what_was_said(page: Page, provider: Upstream) -> None:
    never = Gate()
    provider.then(streamed(text("One two "), never, text("three")))
    await page.ask("Count")
    await page.until_text("One two")
    await page.click("Stop")
    await page.until(IDLE)
    await page.until_text("One two")
    assert "three" not in await page.text()
    await page.until_text("Stopped before its end.")
    await page.reload()
    await page.until_text("Stopped before its end.")
    await page.ask("Go on")
    await page.until_text("Hello there")


async def test_an_edited_message_is_asked_instead_and_both_versions_stay(
    page: Page, provider: Upstream
) -> None:
    provider.then(streamed(text("A1")), streamed(text("A2")), streamed(text("B2")))
    await page.ask("Question one")
    await page.until(answers(1))
    await page.ask("Question two")
    await page.until(answers(2))
    await page.click("Edit", "article.asked")
    await page.type("Question zwei", "#edited")
    await page.click("Ask this instead")
    await page.until_text("B2")
    await page.until(answers(2))
    assert asked(provider) == ["Question one", "Question zwei"]
    await page.until_text("2/2")
    await page.click("Previous version")
    await page.until_text("Question two")
    await page.until_text("A2")
    assert "B2" not in await page.text()


async def test_the_first_message_can_be_edited(page: Page, provider: Upstream) -> None:
    provider.then(streamed(text("A1")), streamed(text("B1")))
    await page.ask("Begin")
    await page.until(answers(1))
    await page.click("Edit", "article.asked")
    await page.type("Begin anew", "#edited")
    await page.click("Ask this instead")
    await page.until_text("B1")
    assert asked(provider) == ["Begin anew"]
    await page.until_text("2/2")


async def test_an_answer_is_given_again(page: Page, provider: Upstream) -> None:
    provider.then(streamed(text("A1")), streamed(text("A2")), streamed(text("A3")))
    await page.ask("One")
    await page.until(answers(1))
    await page.ask("Two")
    await page.until(answers(2))
    await page.click("Answer again", "article.answer")
    await page.until_text("A3")
    await page.until(answers(2))
    assert asked(provider) == ["One", "Two"]
    assert "A2" not in await page.text()


async def test_a_reload_in_mid_stream_goes_on(page: Page, provider: Upstream) -> None:
    gate = Gate()
    count = len(provider.requests)
    provider.then(streamed(text("Begun, "), gate, text("and done.")))
    await page.ask("Tell me")
    await page.until_text("Begun,")
    await page.reload()
    await page.until_text("Begun,")
    gate.open()
    await page.until_text("Begun, and done.")
    await page.until(answers(1))
    assert len(provider.requests) == count + 1
    assert (await page.text()).count("Tell me") == 2  # the title, and the message


async def test_two_tabs_on_one_chat_show_the_same_live(
    page: Page, chrome: Browser, address: str, provider: Upstream
) -> None:
    await page.ask("Hello")
    await page.until(answers(1))
    other = await chrome.beside(page, str(await page.run("location.href")))
    await other.until(answers(1))
    gate = Gate()
    provider.then(streamed(text("From one "), gate, text("to the other.")))
    await other.ask("Said in the other tab")
    await page.until_text("Said in the other tab")
    await page.until_text("From one")
    gate.open()
    for each in (page, other):
        await each.until_text("From one to the other.")
        await each.until(answers(2))
    assert other.complaints == []


async def test_a_message_written_while_an_answer_comes_waits_its_turn(page: Page, provider: Upstream) -> None:
    gate = Gate()
    provider.then(streamed(text("First"), gate), streamed(text("Second")))
    await page.ask("One")
    await page.until_text("First")
    await page.ask("Two")
    await page.until_text("Waiting for the answer before this one")
    gate.open()
    await page.until_text("Second")
    await page.until(answers(2))
    assert asked(provider) == ["One", "Two"]


async def test_what_was_written_offline_is_sent_once_when_the_network_is_back(
    page: Page, provider: Upstream
) -> None:
    await page.ask("Hello")
    await page.until(answers(1))
    count = len(provider.requests)
    await page.offline(on=True)
    await page.ask("Sent offline")
    await page.until_text("Not sent yet")
    await page.offline(on=False)
    await page.until(answers(2))
    assert len(provider.requests) == count + 1
    assert "Not sent" not in await page.text()


async def test_what_is_on_its_way_is_shown_behind_messages_that_were_imported(
    page: Page, provider: Upstream, address: str
) -> None:
    await page.run("""fetch("v1/sessions/web%3Aimported/import", { method: "POST", body:
        '{"format": "nanobot.session", "version": 2}\\n{"role": "user", "content": "an old one"}' })""")
    await page.go(f"{address}/#chat=web%3Aimported")
    await page.reload()
    await page.until_text("an old one")
    await page.offline(on=True)
    await page.ask("Are you there?")
    await page.until_text("Not sent yet", ".messages")
    assert "Are you there?" in await page.text(".messages")
    await page.offline(on=False)
    await page.until_text("Hello there")


async def test_a_message_that_a_reload_interrupted_is_sent_whichever_chat_is_open(
    page: Page, provider: Upstream, address: str
) -> None:
    await page.ask("Hello")
    await page.until(answers(1))
    chat = await page.run("location.href")
    count = len(provider.requests)
    await page.run("""globalThis.fetch = () => Promise.reject(new TypeError("no network"))""")
    await page.ask("On its way")
    await page.until_text("Not sent yet")
    await page.run("history.replaceState(null, '', location.pathname)")
    await page.reload()
    await page.until("sessionStorage.getItem('nanobot.outbox').includes('accepted')")
    assert len(provider.requests) == count + 1
    await page.go(str(chat))
    await page.until(answers(2))
    await page.until("sessionStorage.getItem('nanobot.outbox') === '[]'")


async def test_a_message_whose_answer_to_the_post_was_lost_is_sent_again_and_runs_once(
    page: Page, provider: Upstream
) -> None:
    count = len(provider.requests)
    await page.run("""(() => {
        const real = fetch;
        let isFirst = true;
        globalThis.fetch = async (url, options) => {
            const response = await real(url, options);
            if (!String(url).endsWith("/v1/responses") || !isFirst) return response;
            isFirst = false;
            throw new TypeError("the connection broke");
        };
    })()""")
    await page.ask("Only once")
    await page.until(answers(1))
    assert len(provider.requests) == count + 1
    assert (await page.text("article.asked")).count("Only once") == 1


async def test_the_lines_of_a_poem_stay_lines(page: Page, provider: Upstream) -> None:
    """Models write them with single line ends."""
    provider.then(streamed(text("Rain, it comes,\nwith every drop,\n\n* soft\n  touch")))
    await page.ask("Write a poem")
    await page.until(answers(1))
    shown = await page.text("article.answer .markdown")
    assert [line.strip() for line in shown.splitlines() if line.strip()] == [
        "Rain, it comes,",
        "with every drop,",
        "soft",
        "touch",
    ]


@pytest.mark.parametrize("fails", [True, False], ids=["failed", "done"])
async def test_a_turn_that_ends_before_the_server_has_said_that_it_took_the_message_is_over_on_the_page(
    page: Page, provider: Upstream, fails: bool
) -> None:
    await page.ask("Hello")
    await page.until(answers(1))
    await page.run("""(() => {
        const real = fetch;
        globalThis.fetch = async (url, options) => {
            const response = await real(url, options);
            if (!String(url).endsWith("/v1/responses")) return response;
            globalThis.fetch = real;
            await new Promise((resolve) => { globalThis.answerThePost = resolve; });
            return response;
        };
    })()""")
    provider.then(refused(400, "no such thing") if fails else streamed(text("Quickly done.")))
    await page.ask("Over before it is taken")
    await page.until("globalThis.answerThePost !== undefined")
    await page.until("!document.querySelector('article.answer[aria-busy=true]')")
    await page.until_text("no such thing" if fails else "Quickly done.", "body")
    await page.run("answerThePost()")
    if fails:
        await page.until_text("no such thing", "article.on-its-way")
        await page.click("Try again")
        await page.until(answers(2))
    await page.until("sessionStorage.getItem('nanobot.outbox') === '[]'")
    assert (await page.text("main")).count("Over before it is taken") == 1


async def test_a_failure_is_told_in_words_and_can_be_tried_again(page: Page, provider: Upstream) -> None:
    provider.then(refused(429, "slow down", headers={"Retry-After": "30"}), streamed(text("Now it works.")))
    await page.ask("Fails first")
    await page.until_text("Try again")
    assert "Fails first" in await page.text("article.on-its-way")
    # The name of a model is spelled as it is, also where it begins a sentence.
    assert "openai:test-model" in await page.text("article.on-its-way .problem")
    await page.click("Try again")
    await page.until_text("Now it works.")
    await page.until(answers(1))


async def test_an_answer_goes_on_when_the_connection_breaks(page: Page, provider: Upstream) -> None:
    gate = Gate()
    provider.then(streamed(text("Still "), gate, text("here.")))
    await page.ask("Are you there?")
    await page.until_text("Still")
    await page.offline(on=True)
    await page.run("0")
    gate.open()
    await page.offline(on=False)
    await page.until_text("Still here.")
    await page.until(answers(1))


async def test_a_chat_is_renamed_searched_forked_and_deleted(page: Page, provider: Upstream) -> None:
    provider.then(streamed(text("Platypuses lay eggs.")))
    await page.ask("Tell me of animals")
    await page.until(answers(1))
    await page.click("Rename")
    await page.type("Monotremes", "dialog input")
    await page.press("Enter")
    await page.until("document.querySelector('h1').innerText === 'Monotremes'")
    await page.until_text("Monotremes", ".chats")
    await page.type("platypuses", "#search")
    await page.until("document.querySelectorAll('.chats li').length === 1")
    await page.until_text("Platypuses lay eggs.", ".chats")
    before = await page.run("location.href")
    await page.click("Fork", "article.answer")
    await page.until(f"location.href !== {json.dumps(before)}")
    await page.until(answers(1))
    await page.until("document.querySelectorAll('.chats li').length === 2")
    await page.click("Delete", ".head")
    await page.until_text("is deleted for good", "dialog")
    await page.click("Delete", "dialog")
    await page.until_text("What can I do for you?")
    await page.until("document.querySelectorAll('.chats li').length === 1")
    await page.go(str(before))
    await page.until(answers(1))


async def test_a_deleted_chat_is_told_to_be_gone_in_the_other_tab(
    page: Page, chrome: Browser, provider: Upstream
) -> None:
    await page.ask("Short lived")
    await page.until(answers(1))
    other = await chrome.beside(page, str(await page.run("location.href")))
    await other.until(answers(1))
    await page.click("Delete", ".head")
    await page.click("Delete", "dialog")
    await other.until_text("does not exist (any more)")


async def test_drafts_survive_a_reload(page: Page) -> None:
    await page.type("half a thou")
    await page.reload()
    await page.until("document.querySelector('#message')?.value === 'half a thou'")


async def test_what_was_sent_is_no_draft_of_the_next_new_chat(page: Page) -> None:
    await page.ask("The first message of a chat")
    await page.until(answers(1))
    await page.click("New chat")
    await page.until_text("What can I do for you?")
    assert await page.run("document.querySelector('#message').value") == ""


async def test_a_turn_that_waits_for_the_model_can_be_stopped_after_a_reload(
    page: Page, provider: Upstream
) -> None:
    provider.then(silent())
    await page.ask("Nothing comes")
    await page.until("!(" + IDLE + ")")
    await page.reload()
    await page.click("Stop")
    await page.until(IDLE)
    await page.ask("Go on")
    await page.until_text("Hello there")
    assert await page.text("article.asked") != ""
    assert "Nothing comes" in await page.text(".messages")


async def test_a_long_chat_is_read_in_pages_and_messages_in_it_can_be_edited(
    page: Page, provider: Upstream, address: str
) -> None:
    lines = "\n".join(
        json.dumps({"role": role, "content": f"{role} {number}"})
        for number, role in enumerate(["user", "assistant"] * 45, 1)
    )
    imported = await page.run(f"""(async () => {{
        const head = {{ format: "nanobot.session", version: 2, title: "Long" }};
        const response = await fetch("v1/sessions/web%3Along/import", {{
            method: "POST", body: JSON.stringify(head) + "\\n" + {json.dumps(lines)},
        }});
        return [response.status, await response.text()];
    }})()""")
    assert imported[0] == 200, imported
    await page.go(f"{address}/#chat=web%3Along")
    await page.reload()
    await page.until_text("assistant 90")
    assert "user 49" not in await page.text(".messages")
    await page.click("Show earlier messages")
    await page.until_text("user 11")
    await page.click("Show earlier messages")
    await page.until(answers(45))
    assert "Show earlier messages" not in await page.text(".messages")
    await page.click("Edit", "article.asked")
    await page.type("user 89, edited", "#edited")
    await page.click("Ask this instead")
    await page.until_text("Hello there")
    await page.until(answers(45))
    assert asked(provider)[-2:] == ["user 87", "user 89, edited"]
