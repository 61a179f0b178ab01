"""Exports of other programs give the conversations that were shown and the facts that were noted down."""

import json
import zipfile
from datetime import datetime
from pathlib import Path

import pytest

from nanobot.core.errors import InvalidRequest
from nanobot.reading.exports import chatgpt, markdown, mem0
from nanobot.reading.exports.files import read
from nanobot.reading.exports.found import ExportContent, FoundConversation
from tests.exports import AT, Node, chatgpt_zip, conversation, exchange, node, session, workspace

NOW = AT + 1_000_000.0


def of_chatgpt(*conversations: object) -> ExportContent:
    return chatgpt.read([("conversations.json", json.dumps(conversations).encode())], NOW)


def said(conversation: FoundConversation) -> list[tuple[str, str]]:
    return [(each.message.role, each.message.text) for each in conversation.messages]


# ChatGPT ------------------------------------------------------------------------------------------


def test_the_branch_that_was_shown_is_taken_and_the_others_are_counted() -> None:
    tree = conversation(
        "c",
        [
            node("s", "root", "system", "", None),
            node("q", "s", "user", "Where to?"),
            node("a", "q", "assistant", "To Rome.", AT + 1),
            node("b", "q", "assistant", "To Bonn.", AT + 2, model_slug="gpt-4o"),
        ],
    )
    found = of_chatgpt(tree)
    (one,) = found.conversations
    assert said(one) == [("user", "Where to?"), ("assistant", "To Bonn.")]
    assert one.messages[1].message.model == "gpt-4o"
    assert dict(found.left_out) == {chatgpt.ALTERNATIVES: 1}


def test_without_a_current_node_the_newest_end_is_taken() -> None:
    tree = exchange("c", "Where to?", "To Rome.")
    tree["current_node"] = None
    assert said(of_chatgpt(tree).conversations[0])[-1] == ("assistant", "To Rome.")


def test_tools_thoughts_and_pictures_are_left_out_and_counted() -> None:
    picture = {
        "content_type": "multimodal_text",
        "parts": [{"content_type": "image_asset_pointer", "asset_pointer": "x"}, "What is this?"],
    }
    tree = conversation(
        "c",
        [
            node("q", "root", "user", "", content=picture),
            node("c", "q", "assistant", "", content={"content_type": "code", "text": "f()"}, recipient="py"),
            node("r", "c", "tool", "42"),
            node("t", "r", "assistant", "", content={"content_type": "thoughts", "thoughts": []}),
            node("h", "t", "user", "hidden", is_visually_hidden_from_conversation=True),
            node("a", "h", "assistant", "A fountain.\ue200cite\ue202turn0\ue201"),
        ],
    )
    found = of_chatgpt(tree)
    assert said(found.conversations[0]) == [("user", "What is this?"), ("assistant", "A fountain.")]
    assert sorted(found.left_out.values()) == [1, 2]


def test_times_rise_also_where_the_export_has_none_or_earlier_ones() -> None:
    tree = conversation(
        "c",
        [
            node("q", "root", "user", "one", None),
            node("a", "q", "assistant", "two", AT + 5),
            node("r", "a", "user", "three", AT + 1),
            node("b", "r", "assistant", "four", AT + 1),
        ],
    )
    times = [each.created_at for each in of_chatgpt(tree).conversations[0].messages]
    assert times == sorted(set(times))
    assert times[0] == AT and times[1] == AT + 5


def test_what_the_model_noted_down_is_a_fact_and_no_message() -> None:
    tree = conversation(
        "c",
        [
            node("q", "root", "user", "I moved."),
            node("n", "q", "assistant", "[2026-05-01]. Lives in Bonn", AT + 1, recipient="bio"),
            node("m", "n", "assistant", "Has a cat", AT + 2, recipient="bio"),
            node("a", "m", "assistant", "Noted."),
        ],
    )
    found = of_chatgpt(tree)
    assert [fact.text for fact in found.facts] == ["Lives in Bonn", "Has a cat"]
    assert found.facts[1].at == AT + 2
    assert len(found.conversations[0].messages) == 2


def context(id_: str, at: float, **fields: str) -> Node:
    content = {"content_type": "model_editable_context", **fields}
    return conversation(
        id_,
        [node(f"{id_}x", "root", "user", "", at, content=content), node(f"{id_}q", f"{id_}x", "user", "hi")],
        at=at,
    )


def test_of_the_lists_of_memories_and_profiles_the_newest_one_counts() -> None:
    found = of_chatgpt(
        context(
            "new", AT + 9, model_set_context="1. [2026-05-01]. Lives in Bonn\n\n2. [2026-05-02]. Has a cat"
        ),
        context("old", AT, model_set_context="1. [2025-05-01]. Lives in Rome"),
        context("me", AT + 1, user_profile="- is a gardener", user_instructions="Be terse."),
    )
    assert {fact.text for fact in found.facts} == {"Lives in Bonn", "Has a cat", "is a gardener"}
    assert any("custom instructions" in what for what in found.left_out)


def test_a_broken_conversation_does_not_lose_the_others_and_a_circle_ends() -> None:
    circle = exchange("c", "one", "two")
    circle["mapping"]["c-0"]["parent"] = "c-1"
    found = of_chatgpt({"title": "no tree"}, exchange("d", "hello"), circle)
    assert [each.id for each in found.conversations] == ["d", "c"]
    assert found.left_out["conversations that could not be read"] == 1


@pytest.mark.parametrize("content", [b"{", b'{"a": 1}', b'[{"a": 1}]', b"[[[[", b"[1, 2]"])
def test_what_is_no_export_of_chatgpt_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="nothing was imported"):
        chatgpt.read([("c.json", content)], NOW)


def test_the_zip_its_folder_and_its_numbered_files_are_read_alike(tmp_path: Path) -> None:
    archive = chatgpt_zip(tmp_path / "export.zip", exchange("c", "hello", "hi"))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "conversations-000.json").write_text(json.dumps([exchange("c", "hello", "hi")]))
    (folder / "conversations-001.json").write_text(json.dumps([exchange("d", "hello", "hi")]))
    assert [each.id for each in read(archive, None, NOW).conversations] == ["c"]
    assert [each.id for each in read(folder, None, NOW).conversations] == ["c", "d"]
    assert [each.id for each in read(folder / "conversations-001.json", None, NOW).conversations] == ["d"]


def test_other_archives_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(InvalidRequest, match=r"has no conversations\.json"):
        read(tmp_path / "other.zip", None, NOW)


# mem0 ---------------------------------------------------------------------------------------------


def of_mem0(value: object) -> ExportContent:
    return mem0.read(json.dumps(value).encode(), "m.json", NOW)


@pytest.mark.parametrize("wrapped", [False, True])
def test_memories_of_mem0_are_facts_of_their_users_at_their_times(wrapped: bool) -> None:
    records = [
        {"id": "1", "memory": "Likes tea", "user_id": "dev", "created_at": "2024-01-02T03:04:05-08:00"},
        {"id": "2", "text": "Has a cat", "created_at": "2024-01-02T00:00:00Z", "updated_at": None},
        {"id": "3", "payload": {"data": "Sails", "user_id": "dev"}},
    ]
    found = of_mem0({"results": records} if wrapped else records)
    assert [fact.text for fact in found.facts] == ["Likes tea", "Has a cat", "Sails"]
    assert found.facts[0].at == datetime.fromisoformat("2024-01-02T11:04:05+00:00").timestamp()
    assert [fact.names.get("user") for fact in found.facts] == ["dev", None, "dev"]
    assert found.facts[2].at == NOW


def test_memories_of_agents_that_are_empty_or_have_expired_are_left_out() -> None:
    found = of_mem0(
        [
            {"memory": "Speaks politely", "agent_id": "a"},
            {"memory": " "},
            {"memory": "Visits Rome", "user_id": "dev", "expiration_date": "2020-01-01"},
            {"memory": "Sails", "user_id": "dev"},
        ]
    )
    assert [fact.text for fact in found.facts] == ["Sails"]
    assert sum(found.left_out.values()) == 3


@pytest.mark.parametrize("content", [b"{", b"{}", b"[1]", b'[{"x": 1}]', b'"x"'])
def test_what_are_no_memories_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="nothing was imported"):
        mem0.read(content, "m.json", NOW)


# HKUDS' nanobot -----------------------------------------------------------------------------------


def test_notes_are_facts_a_line_with_what_they_are_about() -> None:
    found = markdown.read(
        "# Long-term Memory\n\nThis file stores important information.\n\n## User Information\n\n"
        "- **Name**: Ann\n- **Timezone**: (your timezone)\n- Projects:\n  - nanobot: an agent\n  - roses\n\n"
        "## Garden\n\nIs half in the shade.\n\n## Important Notes\n\n(Things to remember)\n\n"
        "### Style\n- [ ] Casual\n- [x] Technical\n\n```\ncode\n```\n<!-- hidden -->\n---\n*A footer.*\n",
        AT,
    )
    assert [(fact.subject, fact.text) for fact in found.facts] == [
        ("", "Name: Ann"),
        ("", "Projects: nanobot: an agent"),
        ("", "Projects: roses"),
        ("Garden", "Is half in the shade."),
        ("Style", "Style: Technical"),
    ]
    assert sum(found.left_out.values()) == 4


def test_the_rows_of_a_table_are_facts_with_the_heads_of_their_columns() -> None:
    found = markdown.read(
        "---\ntitle: Notes\n---\n# Team\n\n| Name | Role |\n| :--- | ---: |\n| **Ann** | boss |\n| Bob |  |\n"
        "|  |  |\n\n## Pets\n| cat | Tom |\n- a dog\n",
        AT,
    )
    assert [(fact.subject, fact.text) for fact in found.facts] == [
        ("", "Name: Ann, Role: boss"),
        ("", "Name: Bob"),
        ("Pets", "cat, Tom"),
        ("Pets", "a dog"),
    ]


def test_a_workspace_gives_its_notes_and_the_chats_with_people(tmp_path: Path) -> None:
    found = read(workspace(tmp_path / "workspace"), None, NOW)
    assert [fact.text for fact in found.facts] == ["likes short answers"]
    assert [(each.id, each.names["chat"]) for each in found.conversations] == [
        ("telegram:42", "42"),
        ("telegram:77", "77"),
    ]
    assert said(found.conversations[0]) == [("user", "my cat is Kim"), ("assistant", "A fine name.")]
    assert sum(found.left_out.values()) == 3
    assert read(tmp_path, None, NOW).conversations == found.conversations


def test_a_session_loses_its_tools_and_a_line_that_a_crash_has_cut(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    session(tmp_path, "telegram_42", "telegram:42", "hello", "hi")
    file = tmp_path / "sessions/telegram_42.jsonl"
    calls = [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "x"}]},
        {"role": "tool", "content": "42"},
        {"role": "user", "content": [{"type": "image_url"}, {"type": "text", "text": "and this?"}]},
    ]
    with file.open("a") as stream:
        stream.write("".join(json.dumps(each) + "\n" for each in calls) + '{"role": "us')
    found = read(file, None, NOW)
    assert said(found.conversations[0]) == [("user", "hello"), ("assistant", "hi"), ("user", "and this?")]
    assert sorted(found.left_out.values()) == [1, 1, 2]


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match=r"nothing was imported$"):
        read(tmp_path / name, None, NOW)
