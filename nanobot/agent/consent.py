"""Whether a person's words say yes or no to a question. Whatever is not clearly a yes is none."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from nanobot.core.late_pattern import LatePattern
from nanobot.core.message import Message, Text

Consent = Literal["yes", "always", "no"]
_LONGEST_CHARS = 80
_QUESTION_MARKS = LatePattern(r"[?？؟;⁉❓❔]")
_APOSTROPHES = LatePattern(r"['’‘`´]")

YES = """
    yes; y; yeah; yep; yup; sure; ok; okay; go ahead; do it; run it; do that; please do; go for it; approve;
    approved; i approve; allow; allow it; allowed; confirm; confirmed; agreed; i agree; you may;
    ja; jawohl; jo; mach es; mach das; mach mal; tu es; führe es aus; ausführen; erlaubt; genehmigt; gern;
    gerne; einverstanden; in ordnung; klar; na klar; ich stimme zu;
    oui; daccord; vas y; allez y; fais le; faites le; exécute; jaccepte; bien sûr;
    sí; si; adelante; hazlo; hágalo; de acuerdo; vale; claro; aprobado; permitido; ejecútalo;
    sì; va bene; procedi; certo; daccordo; esegui; approvato;
    sim; pode; pode fazer; faça; faz; faça isso; claro que sim; aprovado; autorizo;
    doe maar; doe het; ga je gang; akkoord; goedgekeurd; prima;
    да; давай; сделай; выполняй; выполни; разрешаю; согласен; согласна; хорошо; конечно;
    tak zrób to; tak zgadzam się; zgoda; zrób to; dobrze; zatwierdzam;
    evet; tamam; olur; onaylıyorum;
    ano; jasně; udělej to; souhlasím;
    ναι; εντάξει; gör det; kör; godkänn; gjør det; kjør; gør det; kyllä; tee se; joo;
    vâng; đồng ý; có; được; ya; iya; boleh; setuju; lakukan;
    نعم; اجل; موافق; حسنا; تفضل; نفذ; כן; בסדר; מאשר; بله; باشه;
    हाँ; हां; जी हाँ; ठीक है; करो; कर दो;
    是; 是的; 好; 好的; 可以; 行; 同意; 批准; 允许; 允許; 确认; 確認; 执行; 執行; 执行吧; 可以执行; 没问题;
    沒問題; 做吧; 去做吧; 对; 對; 好啊;
    はい; うん; ええ; お願いします; お願い; いいよ; いいですよ; どうぞ; 実行して; 実行してください; 承認;
    許可; 許可します; やって; やってください; オーケー;
    네; 예; 응; 좋아; 좋아요; 그래; 그래요; 승인; 허용; 허락; 해줘; 해주세요; 실행해; 실행해줘; 실행해주세요;
    👍; ✅; ✔; 👌
"""
ALWAYS = """
    always; always allow; always allow it; allow always; yes to all; for this session; in this conversation;
    in this session; from now on;
    immer; immer erlauben; toujours; siempre; sempre; altijd; всегда; zawsze; her zaman; vždy; πάντα; alltid;
    altid; aina; luôn luôn; selalu; دائما; תמיד; हमेशा;
    总是; 总是允许; 始终允许; 一直允许; 總是; 總是允許; 始終允許; 常に; 常に許可; いつも; 항상; 항상 허용
"""
NO = """
    no; n; nope; nah; never; dont; do not; dont do it; do not do it; dont do that; dont run it; stop; cancel;
    deny; denied; refuse; reject; rejected; not now; abort; no way;
    nein; nee; nö; nicht; lass es; lass das; stopp; abbrechen; abgelehnt; auf keinen fall; niemals;
    bitte nicht;
    non; jamais; annule; arrête; refuse; refusé; pas question; ne le fais pas;
    nunca; cancela; no lo hagas; rechazado; para; mai; annulla; non farlo; não; nao; não faça; cancelar;
    нет; не надо; не делай; отмена; стоп; запрещаю; никогда;
    nie; nie rób tego; anuluj; hayır; yapma; iptal; ne; nikdy; zrušit; όχι; nej; nei; ei; älä;
    không; đừng; tidak; jangan; batal; لا; كلا; توقف; الغاء; לא; ביטול; خیر; नहीं; मत करो; रुको;
    不; 不要; 不行; 不可以; 不同意; 拒绝; 拒絕; 否; 别; 別; 取消; 不用; 停; 停止; 算了;
    いいえ; いや; だめ; ダメ; やめて; やめてください; 拒否; キャンセル; 中止; しないで;
    아니; 아니요; 아니오; 안돼; 안 돼; 하지마; 하지 마; 하지 마세요; 취소; 거부; 싫어; 👎; ❌; 🚫
"""
FILLERS = """
    please; thanks; thank you; then; just; bitte; danke; dann; sil te plaît; sil vous plaît; merci; por favor;
    gracias; per favore; grazie; obrigado; obrigada; alsjeblieft; dank je; пожалуйста; спасибо; proszę;
    dziękuję; lütfen; teşekkürler; prosím; من فضلك; शुक्रिया; कृपया; 请; 請; 谢谢; 謝謝; 吧; once; einmal
"""


def consent_in(messages: Iterable[Message], asker: str | None) -> Consent | None:
    """Return what the participant `asker` says to a question with `messages`; None where that is neither
    clearly a yes nor clearly a no. What others say counts for nothing.
    """
    own = [message for message in messages if message.name == asker]
    found = {_of_message(message) for message in own}
    if found == {"yes", "always"}:
        return "yes"
    if "no" in found:
        return "no"
    return found.pop() if len(found) == 1 else None


def _of_message(message: Message) -> Consent | None:
    if len(message.parts) != 1 or not isinstance(message.parts[0], Text):
        return None
    return consent_of(message.parts[0].text)


def consent_of(text: str) -> Consent | None:
    """Return what a text says to a question, if it says nothing else: each part of it is a yes, or each is a
    no. A text with a question mark says neither.
    """
    if len(text) > _LONGEST_CHARS or _QUESTION_MARKS.search(text):
        return None
    words = words_of(text)
    said: set[str] = set()
    at = 0
    while at < len(words):
        # The longest phrase that begins here.
        end, meaning = next(
            (
                (end, meaning)
                for end in range(len(words), at, -1)
                if (meaning := meanings().get(" ".join(words[at:end]))) is not None
            ),
            (at, ""),
        )
        if end == at:
            return None
        said.add(meaning)
        at = end
    said.discard("filler")
    if said == {"yes", "always"} or said == {"always"}:
        return "always"
    if said == {"yes"}:
        return "yes"
    return "no" if said == {"no"} else None


def words_of(text: str) -> tuple[str, ...]:
    """Return the words of a text in lower case, without punctuation, marks of emphasis and skin colours."""
    plain = unicodedata.normalize("NFKC", _APOSTROPHES.sub("", text)).casefold()
    kept = (
        character
        if unicodedata.category(character)[0] in "LN" or character in _SIGNS or _is_mark(character)
        else ("" if unicodedata.category(character) in ("Mn", "Cf", "Sk") else " ")
        for character in plain
    )
    return tuple("".join(kept).split())


_SIGNS = frozenset("👍✅✔👌👎❌🚫")
_VARIATION_SELECTORS = frozenset("\ufe0e\ufe0f")


def _is_mark(character: str) -> bool:
    """Return whether the character belongs to a letter, as the vowels of Hindi do."""
    return unicodedata.category(character) in ("Mc", "Mn") and character not in _VARIATION_SELECTORS


@lru_cache(1)
def meanings() -> dict[str, str]:
    """Return what each phrase means; one that would mean two things means nothing."""
    found: dict[str, str] = {}
    for meaning, phrases in (("filler", FILLERS), ("no", NO), ("always", ALWAYS), ("yes", YES)):
        for phrase in phrases.split(";"):
            words = " ".join(words_of(phrase))
            if words in found and found[words] != meaning:
                found[words] = ""
            elif words:
                found[words] = meaning
    return {words: meaning for words, meaning in found.items() if meaning}
