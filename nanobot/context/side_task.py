"""Requests that a front end makes beside a conversation: a title for it, tags, follow-up questions, a search
query. They need nothing that the server has for the conversation itself.

They are told by what makes them such, not by one front end's words: a single message that quotes a
conversation, says what is to be made of it, and leaves the answer no room for anything else.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from nanobot.core.dispatch import History
from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Text
from nanobot.core.turn import Turn

_SHORTEST, _LONGEST = 60, 200_000
_MOST_ASKED = 12_000
"""How long what is asked may be, without what it quotes: it is looked at on the event loop."""
_MOST_FRAMES = 8
_I, _M = re.IGNORECASE, re.MULTILINE
_USER = (
    r"user|human|benutzer(?:in)?|nutzer(?:in)?|utilisat(?:eur|rice)|usuari[oa]|usuári[oa]|utente|用户|用戶"
    r"|ユーザー?"
)
_ASSISTANT = r"assistant|ai|bot|model|response|assistent(?:in)?|asistente|assistente|助手|アシスタント"
_BEFORE_LABEL = r"^[ \t]{0,8}[|>#*\[(<-]{0,4}[ \t]{0,2}(?:"
_AFTER_LABEL = r")[ \t]{0,2}[*\])>]{0,4}[ \t]{0,2}[:：]"
_USER_LINE = LatePattern(f"{_BEFORE_LABEL}{_USER}{_AFTER_LABEL}", _I | _M)
_ASSISTANT_LINE = LatePattern(f"{_BEFORE_LABEL}{_ASSISTANT}{_AFTER_LABEL}", _I | _M)
_USER_FIELD = LatePattern(r"^.*\"role\"\s*:\s*\"user\"", _I | _M)
_ASSISTANT_FIELD = LatePattern(r"\"role\"\s*:\s*\"(?:assistant|model|ai)\"", _I)
_TAG = LatePattern(
    r"<((?:\w{1,20}[_-])?(?:chat|conversation|history|messages|transcript|dialog|dialogue|context)"
    r"(?:[_-]\w{1,20})?)>",
    _I,
)
_FENCE = "```"
# What goes on with the conversation is no task about it.
_GOES_ON = LatePattern(rf"{_BEFORE_LABEL}{_ASSISTANT}{_AFTER_LABEL}\s*\Z", _I | _M)
_PRODUCT = LatePattern(
    r"\b(?:titles?|headlines?|name (?:this|the|for|of)|a name|tags?|keywords?|topics?|labels?|categor\w+"
    r"|follow[-_ ]?ups?|suggest\w*|next messages?|quer(?:y|ies)|emojis?|auto-?complet\w*|summar\w*"
    r"|titel\w*|überschrift\w*|schlagw\w+|schlüsselw\w+|stichw\w+|\w*folgefragen|suchanfrag\w+"
    r"|zusammenfass\w+|titres?|étiquettes?|mots[- ]clés|requêtes?|résum\w+|títulos?|etiquetas?"
    r"|palabras clave|sugerencias?|consultas?|resum\w+|titol[oi]|etichett\w+|parole chiave|suggeriment\w+"
    r"|riassu\w+|palavras[- ]chave|sugest\w+)\b"
    r"|标题|標題|标签|標籤|关键词|關鍵詞|建议|查询|总结|摘要|タイトル|題名|タグ|キーワード|要約",
    _I,
)
_ONLY = LatePattern(
    r"\b(?:only|nothing (?:else|but)|just (?:the|return|respond|reply|output|provide|give)"
    r"|no (?:other|additional|extra|further)|without any|solely|words? (?:or (?:less|fewer)|max\w*|in length)"
    r"|(?:within|at most|max\w*|under) \d+ \w+|nur|ausschließlich|nichts (?:anderes|weiter)"
    r"|ohne (?:weitere\w*|anführungs\w+)|uniquement|seulement|rien d['’]autre|sans (?:autre|guillemets)"
    r"|únicamente|s[oó]lo|nada más|sin (?:comillas|texto)|soltanto|solamente|nient['’]altro"
    r"|senza (?:virgolette|altro)"
    r"|apenas|somente|nada mais|sem (?:aspas|texto))\b|只|仅|僅|のみ|だけ|不要",
    _I,
)
_JSON = LatePattern(r"\bJSON\b", _I)
_SHAPE = LatePattern(r"\{\s*\"[^\"\n]{1,60}\"\s*:")
_NEEDS_MORE = LatePattern(
    r"\b(?:tools?|skills?|werkzeug\w*|outils?|herramientas?|strument[oi]|ferramentas?|remember|look up"
    r"|browse)\b|工具|ツール|スキル",
    _I,
)


def is_side_task(turn: Turn, history: History, produced: int, tools: Iterable[str]) -> bool:
    """Return whether the turn is a front end's request beside a conversation, for certain. `produced`: how
    many messages at the end of `history` are the turn's own; `tools`: the names of the server's.

    One that stays in the transcript must be all of its session, and show the form of the object that it
    wants: people may paste a conversation, too, and ask for a title.
    """
    text = _only_text(turn)
    if text is None or not (asked := _outside_quote(text)):
        return False
    asked = f"{turn.instructions}\n{asked}"
    if len(asked) > _MOST_ASKED:
        return False
    if not _PRODUCT.search(asked) or _NEEDS_MORE.search(asked):
        return False
    if any("_" in name and name in asked for name in tools):
        return False
    if turn.trace:
        is_all = not history.skipped_messages and len(history.messages) - produced == 1
        return is_all and (turn.format is not None or bool(_JSON.search(asked) and _SHAPE.search(asked)))
    return turn.format is not None or bool(_JSON.search(asked) or _ONLY.search(asked))


def _only_text(turn: Turn) -> str | None:
    """Return the text of a turn that consists of it alone; None: it has more, or no such length."""
    if len(turn.input) != 1 or turn.tools or turn.continues or turn.delegation is not None:
        return None
    (message,) = turn.input
    if message.role != "user" or len(message.parts) != 1 or not isinstance(message.parts[0], Text):
        return None
    text = message.parts[0].text
    return text if _SHORTEST <= len(text) + len(turn.instructions) <= _LONGEST else None


def _outside_quote(text: str) -> str | None:
    """Return what stands around the conversation that `text` quotes; None: it quotes none."""
    user_line = _USER_LINE.search(text)
    if user_line is not None:
        said = user_line.start()
        quotes_both = _ASSISTANT_LINE.search(text) is not None
    elif (field := _USER_FIELD.search(text)) is not None:
        said, quotes_both = field.start(), _ASSISTANT_FIELD.search(text) is not None
    else:
        return None
    for start, end, is_tag in _frames(text):
        if start <= said < end:
            # A tag says as much: the answer may not have begun.
            return f"{text[:start]}\n{text[end:]}" if quotes_both or is_tag else None
    if not quotes_both or _GOES_ON.search(text):
        return None
    # Where a quote without a frame ends cannot be told.
    return text[:said] or "\n"


def _frames(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield what stands between tags for a conversation, or between the first fence and the last: start, end,
    and whether there are tags.
    """
    for tag in islice(_TAG.finditer(text), _MOST_FRAMES):
        end = text.rfind(f"</{tag[1]}>")
        if end > tag.end():
            yield tag.start(), end + len(tag[1]) + 3, True
    start, end = text.find(_FENCE), text.rfind(_FENCE)
    if 0 <= start < end:
        yield start, end + len(_FENCE), False
