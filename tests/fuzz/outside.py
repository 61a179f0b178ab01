"""What comes from outside by way of tools: MCP servers, search engines, exports of other programs, marks."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from nanobot.reading.exports import chatgpt, markdown, mem0
from nanobot.reading.exports import nanobot as sessions
from nanobot.reading.exports.found import ExportContent
from nanobot.stores.sql import tokens
from nanobot.stores.sqlite import index
from nanobot.tools.web.providers import SEARCH_PROVIDERS, read_results
from nanobot.tools.web.untrusted import marked, marked_again
from tests.fuzz.target import Target, drawn, refused_in_words

_RESULTS = (
    b'{"content": [{"type": "text", "text": "a"}, {"type": "image", "data": "AA==", "mimeType":'
    b' "image/png"}], "structuredContent": {"a": 1}}',
    b'{"tools": [{"name": "a", "inputSchema": {"type": "object", "properties": {"x": {"type": "string"}}},'
    b' "annotations": {"readOnlyHint": true}}]}',
    b'{"contents": [{"uri": "a:b", "text": "x"}, {"uri": "a:c", "blob": "AA=="}]}',
    b'{"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}], "description": "d"}',
    b'{"prompts": [{"name": "p", "arguments": [{"name": "a", "required": true}]}]}',
)
_MCP_WORDS = tuple(
    f'"{word}"'.encode()
    for word in (
        "type", "text", "image", "audio", "resource", "resource_link", "uri", "blob", "mimeType", "anyOf",
        "allOf", "properties", "inputSchema", "name", "title", "description", "annotations",
        "structuredContent", "isError",
    )
)  # fmt: skip


def check_mcp(content: bytes) -> None:
    """A result of each kind that a server gives: what fits the protocol is shown within its bounds."""
    from mcp import types
    from pydantic import ValidationError

    from nanobot.tools.mcp import reading

    def shown(found: reading.ShownResult) -> None:
        assert len(found.text) <= reading.MAX_TEXT_CHARS + 100
        msgspec.json.encode(found.text)

    kinds = (
        (types.CallToolResult, lambda result: shown(reading.read_tool_result(result))),
        (types.ReadResourceResult, lambda result: shown(reading.read_resource(result))),
        (types.GetPromptResult, lambda result: shown(reading.read_prompt(result))),
        (types.ListToolsResult, lambda result: msgspec.json.encode(reading.read_tools(result.tools))),
        (types.ListPromptsResult, lambda result: msgspec.json.encode(reading.read_prompts(result.prompts))),
    )
    for kind, read in kinds:
        try:
            result = kind.model_validate_json(content)
        except ValidationError:
            continue
        read(result)


def check_search(content: bytes) -> None:
    for provider in SEARCH_PROVIDERS.values():
        try:
            results = read_results(provider, content, 5)
        except (ValueError, RecursionError) as error:
            str(error).encode()
            continue
        assert len(results) <= 5
        assert all(result.url for result in results)
        msgspec.json.encode(results)


def _lines(content: bytes, now: float) -> ExportContent:
    return sessions.read_session(content.splitlines(), "wx_a", now)


_READERS: tuple[Callable[[bytes, float], ExportContent], ...] = (
    lambda content, now: chatgpt.read([("conversations.json", content)], now),
    lambda content, now: mem0.read(content, "memories.json", now),
    lambda content, now: markdown.read(content.decode("utf-8", "replace"), now),
    _lines,
)
_EXPORTS = (
    b'[{"id": "a", "title": "T", "create_time": 1.5, "current_node": "n", "mapping": {"n": {"id": "n",'
    b' "parent": null, "children": [], "message": {"author": {"role": "user"}, "create_time": 2, "content":'
    b' {"content_type": "text", "parts": ["hello", {"asset": 1}]}}}}}]',
    b'{"results": [{"memory": "likes tea", "created_at": "2024-01-01T00:00:00Z", "user_id": "a"}]}',
    b"# User\n- likes tea\n## Work\n  - [ ] none\n```\ncode\n```\n",
    b'{"_type": "metadata", "key": "wx:a"}\n{"role": "user", "content": "x", "timestamp": "2024-01-01"}\n',
)


def check_export(content: bytes) -> None:
    for read in _READERS:
        with refused_in_words():
            found = read(content, 1_000.0)
            for conversation in found.conversations:
                times = [message.created_at for message in conversation.messages]
                assert times == sorted(times), "messages go back in time"
                msgspec.json.encode(conversation)
            msgspec.json.encode(found.facts)


_words = st.text(st.sampled_from('aé"ب中文 -*()ل\u064b的_1:'), max_size=12) | st.text(max_size=6)


@given(_words, _words, _words)
def _searched(before: str, word: str, after: str) -> None:
    """Whatever is typed is a query that the index takes, and finds the text that has it."""
    query = index.query(word)
    text = f"{before} {word} {after}"
    if query is None:
        return
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(
            "CREATE VIRTUAL TABLE search USING fts5 (text, content = '', columnsize = 0, tokenize = 'ascii')"
        )
        db.execute("INSERT INTO search (rowid, text) VALUES (1, ?)", (tokens.indexed(text),))
        found = db.execute("SELECT rowid FROM search WHERE search MATCH ?", (query,)).fetchall()
    assert found == [(1,)] or '"' in word, f"{text!r} is not found by {word!r}, {query!r}"


@given(st.text(max_size=60), st.integers(0, 60), st.integers(0, 2**32))
def _within_marks(text: str, at: int, seed: int) -> None:
    whole = marked(text, Random(seed))
    first, last = whole.split("\n", 1)[0], whole.rsplit("\n", 1)[1]
    assert whole.count(first) == 1
    assert whole.count(last) == 1
    # A text that copies the mark which it was once shown in does not end the new one.
    assert marked(whole, Random(seed)).rsplit("\n", 1)[1] != last
    part = marked_again(whole[at:], whole[:at])
    if at < len(whole):
        assert part.rstrip().endswith(last) or last in whole[:at] or at < len(first)


TARGETS = (
    Target("mcp-results", check_mcp, _RESULTS, _MCP_WORDS),
    Target(
        "search-results",
        check_search,
        (
            b'{"web": {"results": [{"title": "a", "url": "https://a", "description": "d"}]}}',
            json.dumps({"results": [{"url": "https://a", "content": "c", "highlights": ["x"]}]}).encode(),
        ),
        (b'"web"', b'"results"', b'"url"', b'"highlights"', b"null", b"[[[[", b'"\\ud800"'),
    ),
    Target(
        "exports", check_export, _EXPORTS, (b'"mapping"', b'"parts"', b'"author"', b"1e999", b'"payload"')
    ),
    drawn("searched-words", _searched),
    drawn("untrusted-marks", _within_marks),
)
