"""What a small model is shown only grows at its end: all that the engine has read stays read."""

from nanobot.core.message import File, Image, Message, Text, ToolCall, ToolResult, user
from nanobot.models.local.conversation import conversation, recalling, words_of_user
from nanobot.models.local.recall import marked


def assistant(text: str) -> Message:
    return Message("assistant", (Text(text),))


def call(id: str, name: str, arguments: str) -> Message:  # noqa: A002
    return Message("assistant", (ToolCall(id, name, arguments),))


def result(id: str, content: str, *, is_error: bool = False) -> Message:  # noqa: A002
    return Message("tool", (ToolResult(id, content, is_error),))


def test_calls_and_results_are_told_as_the_examples_tell_them() -> None:
    shown = conversation(
        (
            user("What is 17 * 23?"),
            call("1", "calculate", '{"expression":"17 * 23"}'),
            result("1", "391"),
            assistant("It is 391."),
            user("And the time in Tokyo?"),
            call("2", "current_time", '{"timezone":"Asia/Tokyo"}'),
            result("2", "Monday, 2026-11-30 10:05:00 JST (UTC+0900)"),
        )
    )
    assert [message.text for message in shown] == [
        "What is 17 * 23?",
        "[calculate 17 * 23]",
        "(17 * 23 = 391)",
        "It is 391.",
        "And the time in Tokyo?",
        "[current_time Asia/Tokyo]",
        "(In Asia/Tokyo it is Monday, 2026-11-30 10:05:00 JST)",
    ]
    assert [message.role for message in shown] == ["user", "assistant"] * 3 + ["user"]


def test_errors_and_calls_of_other_tools_are_told_too() -> None:
    shown = conversation(
        (
            user("a"),
            call("1", "calculate", '{"expression":"1 / 0"}'),
            result("1", "Error: divides by zero", is_error=True),
            call("2", "send_mail", '{"to":"x@y","copies":null}'),
            result("2", "sent"),
            result("9", "from nowhere"),
        )
    )
    assert [message.text for message in shown[1:]] == [
        "[calculate 1 / 0]",
        "(1 / 0: Error: divides by zero)",
        "[send_mail x@y]",
        "(send_mail: sent)\n\n(from nowhere)",
    ]


def test_what_tools_say_in_two_results_of_one_step_is_one_message() -> None:
    both = Message(
        "assistant",
        (
            ToolCall("1", "current_time", '{"timezone":"Africa/Lagos"}'),
            ToolCall("2", "current_time", "{}"),
        ),
    )
    shown = conversation((user("a"), both, result("1", "x"), result("2", "y")))
    assert shown[1].text == "[current_time Africa/Lagos]\n[current_time]"
    assert shown[2].text == "(In Africa/Lagos it is x)\n\n(It is y)"


def test_images_are_said_to_be_unseen_and_files_stand_below_the_words() -> None:
    (message,) = conversation(
        (Message("user", (Text("What is this?"), Image("data:,"), File("a.txt", "kumquat"))),)
    )
    assert message.text.startswith("What is this?\n\n" + File("a.txt", "kumquat").shown)
    assert "cannot see images" in message.text


def test_over_ten_turns_each_prompt_begins_with_the_one_before_and_its_answer() -> None:
    """With calls, errors and recall among them."""
    history: tuple[Message, ...] = ()
    before = ""
    for turn in range(10):
        history += (user(f"question {turn}"),)
        answer = assistant(f"answer {turn}")
        added: tuple[Message, ...] = ()
        match turn % 4:
            case 1:
                number = str(turn)
                history += (call(number, "calculate", '{"expression":"2 + 2"}'), result(number, "4"))
            case 2:
                number = str(turn)
                history += (
                    call(number, "calculate", '{"expression":"2 / 0"}'),
                    result(number, "Error", is_error=True),
                )
            case 3:
                added = recalling(words_of_user(history))
                answer = marked(answer)
            case _:
                pass
        prompt = told((*conversation(history), *added))
        assert prompt.startswith(before)
        history += (answer,)
        before = prompt + told((answer,))
    assert "[recall]" in before and "(2 + 2 = 4)" in before


def told(messages: tuple[Message, ...]) -> str:
    return "".join(f"<{message.role}>{message.text}" for message in messages)
