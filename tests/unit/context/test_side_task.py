"""A front end's request beside a conversation is told from what people say, whichever front end it is."""

from typing import Any

import pytest

from nanobot.context.build import build
from nanobot.context.side_task import is_side_task
from nanobot.core.dispatch import History
from nanobot.core.message import Image, Message, Text, user
from nanobot.core.tool import tool_spec
from nanobot.core.turn import OutputFormat, Turn

CHAT = "USER: How do I prune a pear tree?\nASSISTANT: In late winter, above an outer bud."
TITLE = (
    '### Task:\nGenerate a concise title.\n### Output:\nJSON format: { "title": "your title" }\n'
    f"### Chat History:\n<chat_history>\n{CHAT}\n</chat_history>"
)
TOOLS = ("current_time", "calculate", "web_search")


def is_one(text: str, *, earlier: tuple[Message, ...] = (), **fields: Any) -> bool:
    fields = {"trace": False, **fields}
    turn = Turn("turn_1", "k", (user(text),), "api", **fields)
    return is_side_task(turn, History((*earlier, *turn.input)), 0, TOOLS)


# One row for each way in which front ends word it.
TASKS = (
    TITLE,
    TITLE.replace("Generate a concise title", "Suggest 3-5 relevant follow-up questions").replace(
        "title", "follow_ups"
    ),
    "Analyze the chat history and generate search queries. Today's date is: 2026-11-30.\nReturn JSON: "
    f'{{"queries": ["query1", "query2"]}}\n<chat_history>\n{CHAT}\n</chat_history>',
    "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only return "
    "the title itself.\n\nConversation:\nUser: How do I prune a pear tree?\nAI: In late winter.",
    'Please generate a concise title with at most 5 words, without any punctuation.\n\n||>User:\n"Hi"\n'
    '||>Response:\n"Hello."\n\n||>Title:',
    "Based on the chat history, give this conversation a name. 10 characters max. Just provide the name, "
    "nothing else.\n```\nuser: How do I prune a pear tree?\n---------\nassistant: In late winter.\n```\n"
    "The name is:",
    "Fasse das Thema als Titel zusammen. Antworte nur mit dem Titel.\n\nBenutzer: Hallo!\n"
    "Assistent: Hallo, wie kann ich helfen?",
    "请为下面的对话写一个标题，只返回标题。\n\n用户：怎么修剪梨树？请说得简单一点，我是新手。\n"
    "助手：在冬末修剪，剪在外侧的芽上方，每次不要剪掉太多枝条，伤口要平整，这样树会恢复得更快。",
)


@pytest.mark.parametrize("text", TASKS)
def test_a_quoted_chat_of_which_only_one_thing_is_to_be_made_is_a_task(text: str) -> None:
    assert is_one(text)


@pytest.mark.parametrize(
    ("instructions", "text"),
    [
        ("You summarise conversations. Generate a short title, no other text.", CHAT),
        (
            "Name the topic of the conversation. Respond with JSON.",
            '[{"role": "user", "content": "A pear tree?"}, {"role": "assistant", "content": "In winter."}]',
        ),
    ],
)
def test_what_is_to_be_made_may_stand_in_the_clients_instructions(instructions: str, text: str) -> None:
    assert is_one(text, instructions=instructions)
    assert not is_one(text)


def test_a_format_says_as_much_as_words() -> None:
    text = f"Generate tags for this conversation.\n\n{CHAT}"
    assert is_one(text, format=OutputFormat("json_object"))
    assert not is_one(text)


@pytest.mark.parametrize(
    "text",
    [
        "Give me a short title for my talk about pear trees. Answer with JSON only, please, nothing else.",
        # The conversation itself, which some clients send as one text.
        f"Answer only what is asked about titles.\n\n{CHAT}\nUSER: And what time is it?\nASSISTANT:",
        f"{CHAT}\nUSER: Only give me a title for it, as JSON.",
        f"What did the gardener mean? Explain it to me in JSON terms.\n\n{CHAT}",
        f"Search the web for pear trees, and answer in JSON only.\n\n{CHAT}",
        f"Use the tool web_search, then give only a title.\n\n{CHAT}",
        f"Call current_time for the date, and give only a title with it.\n\n{CHAT}",
        f"Find the skill for titles, follow it and output only JSON.\n\n{CHAT}",
        f"Remember what was said, and give me only a title for it.\n\n{CHAT}",
        "Give me only a title. User: is a word that many pages begin with, and so is tag: in this sentence.",
    ],
)
def test_what_may_want_more_is_none(text: str) -> None:
    assert not is_one(text)


def test_what_stands_in_the_quoted_chat_makes_it_no_task() -> None:
    said = "USER: Write only a title, as JSON.\nASSISTANT: Which one?"
    assert not is_one(f"What did we want here? I have forgotten all of it.\n<chat>\n{said}\n</chat>")


def test_one_that_stays_in_the_transcript_is_alone_and_shows_the_form_that_is_read() -> None:
    assert is_one(TITLE, trace=True)
    assert not is_one(TITLE, trace=True, earlier=(user("hi"),))
    assert not is_one(TASKS[3], trace=True)


def test_one_that_brings_tools_or_pictures_or_goes_on_is_none() -> None:
    tool = tool_spec("look", "Look.", {"type": "object", "properties": {}})
    assert not is_one(TITLE, tools=(tool,))
    assert not is_one(TITLE, continues=True)
    seen = Message("user", (Text(TITLE), Image("data:image/png;base64,AA==")))
    turn = Turn("turn_1", "k", (seen,), "api", trace=False)
    assert not is_side_task(turn, History(turn.input), 0, TOOLS)


def test_it_gets_no_date_and_no_note() -> None:
    turn = Turn("turn_1", "k", (user(TITLE),), "api")
    request = build(
        turn, History(turn.input), tools=(), budget_tokens=20_000, now=1_800_000_000.0, is_side_task=True
    )
    assert request.notes == "" and request.is_side_task


@pytest.mark.parametrize(
    "hostile",
    [
        "<chat>" * 30_000,
        " " * 190_000,
        "```\n" * 45_000,
        "user:" * 38_000,
        "\n> user:" * 20_000,
        "{" * 190_000,
    ],
)
def test_a_long_text_is_looked_through_in_one_go(hostile: str) -> None:
    """No timed bound: quadratic steps would take minutes, and the test's limit is one."""
    assert not is_one(f"{hostile}\nassistant: x\nuser: only a title")


def test_much_that_is_asked_besides_the_quote_is_no_task() -> None:
    assert not is_one(f"{TITLE}\n{'More of it. ' * 2_000}")
    long = "USER: more\nASSISTANT: yes\n" * 5_000
    assert is_one(TITLE.replace(CHAT, long)), "the conversation may be long"
