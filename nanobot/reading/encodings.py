"""Which encoding a text is in that neither says so nor is UTF-8: judged by what its characters would be.

Statistics of bytes need more text than a small table or a note has. What tells encodings apart even in a few
words is whether the characters are letters of one alphabet, where they stand in words, and how common they
are.
"""

import codecs
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from nanobot.core.late_pattern import LatePattern

_SAMPLE_BYTES = 8_192
_MOST_JUDGED = 1_500
_FIRST_JUDGED = 120
_FINALISTS = 5
_UTF_16_SHARE = 0.4

_HAN = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事"
    "成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此"
    "已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代"
    "内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安"
    "少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光"
    "放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交规万取拉格望觉术领共确传师观清今切院让识候带导争运城李四京"
    "日期价格数量单位姓名客户产品订单金额合计备注编号电话地址公司部门状态类型项目说明"
)
_HAN_TRADITIONAL = (
    "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作裡用道行所然家種事"
    "成方多經麼去法學如都同現當沒動面起看定天分還進好小部其些主樣理心她本前開但因只從想實日軍者意無力它與長把機十民第公此"
    "已工使情明性知全三又關點正業外將兩高間由問很最重並物手應戰向頭文體政美相見被利什二等產或新己制身果加西斯月話合回特代"
    "內信表化老給世位次度門任常先海通教兒原東聲提立及比員解水名真論處走義各入幾口認條平系氣題活爾更別打女變四神總何電數安"
    "少報才結反受目太量再感建務做接必場件計管期市直德資命山金指克許統區保至隊形社便空決治展馬科司五基眼書非則聽白卻界達光"
    "放強即像難且權思王象完設式色路記南品住告類求據程北邊死張該交規萬取拉格望覺術領共確傳師觀清今切院讓識候帶導爭運臺灣陳林"
    "日期價格數量單位姓名客戶產品訂單金額合計備註編號電話地址公司部門狀態類型項目說明資訊網路"
)
_KANA = (
    "のにはをたがでてとしれさいるなもかすらりこあうよくんまきおせそつえけちやわどめみろじばだずごべぼ"
    "スンイルトアリラクドシレジタフロカコマメサプキデグーッウテニナハバパ"
)
_KANJI = (
    "日一国人年大十二本中長出三時行見月後前生五間上東四今金九入学高円子外八六下来気小七山話女北午百書"
    "先名川千水半男西電校語土木聞食車何南万毎白天母火右読友左休父雨会田市社事自者地業方新場部同手力動"
    "文化名前住所電話都市京阪田鈴木社価格数量合計"
)
_HANGUL = (
    "이다는을가의에고하지를로도은사한기리아어자정시있그나인스대서라해부보과전여일것수들면제주게구상으"
    "장원동었관신조화소비공만성우무국안학민생문용마세중오운내당년모선통교실경유물결연식요름울산김철영"
    "희박최녕십니까습"
)
_CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфёіїєґўјљњћџђ"
_GREEK = "αοιετσνηυρπκμλωγδθχςβξφζψάέήίόύώϊϋΐΰ"
_HEBREW = "יוהלאתמברשנםעדקחטצגפכסזךןףץ"
_ARABIC = "اليمنورتبةعدسفهكحقجشطصخذزضغثئءىأإؤآظچپگژ"
_THAI = "านรกอเงมยลวดทสตะปบคหแจพชขใไโผถซธณญศษฐฉฮภฝฟ่้ัีิุูื์็ำๆ"
_THAI_MARKS = frozenset("ัิีึืฺุู็่้๊๋์ํ")
_THAI_LEADS = frozenset("เแโใไ")
_THAI_MARKS_AND_LEADS = _THAI_MARKS | _THAI_LEADS
_FINALS = frozenset("ךםןףץς")
_MEDIALS = frozenset("כמנפצσ")
_RARE = frozenset("ўјљњћџђ")
_TONES = frozenset("\u0300\u0301\u0303\u0309\u0323")
_PUNCTUATION = frozenset("’‘“”„‚–—…«»€°§©®·¿¡\xa0£№•™²³½、。「」，：；！？（）《》・ー〜％￥¥‐―　“”")
_LATIN: tuple[tuple[float, str], ...] = (
    (0.06, "äöüß"),
    (0.06, "éèêàâçîïôûùëœ"),
    (0.05, "áéíóúñü"),
    (0.05, "ãõáâàéêíóôúç"),
    (0.05, "åäöéüæø"),
    (0.03, "àèéìíòóùú"),
    (0.02, "ąćęłńóśźż"),
    (0.02, "áčďéěíňóřšťúůýž"),
    (0.01, "áäčďéíĺľňóôŕšťúýž"),
    (0.02, "áéíóöőúüű"),
    (0.01, "ăâîşţșț"),
    (0.01, "čćđšž"),
    (0.03, "çğıöşüâîûi̇İ"),
    (0.0, "ðþáéíóúýöæ"),
    (0.0, "ąčęėįšųūž"),
    (0.0, "āčēģīķļņšūž"),
    (0.0, "äõöüšž"),
    (0.0, "ăâđêôơưàáèéìíòóùúýỳạ\u0300\u0301\u0303\u0309\u0323"),
)
"""Alphabets of languages in Latin letters: what is not ASCII in them, and how much rather they are meant than
others where both would do.
"""


class _Guess(NamedTuple):
    """An encoding. `common`: the letters of its script, the commonest first; nothing: Latin."""

    encoding: str
    common: str = ""
    is_wide: bool = False


_CANDIDATES = (
    _Guess("cp1252"),
    _Guess("gb18030", _HAN, True),
    _Guess("big5hkscs", _HAN_TRADITIONAL, True),
    _Guess("cp932", _KANA + _KANJI, True),
    _Guess("euc_jp", _KANA + _KANJI, True),
    _Guess("cp949", _HANGUL, True),
    _Guess("cp1251", _CYRILLIC),
    _Guess("koi8_r", _CYRILLIC),
    _Guess("koi8_u", _CYRILLIC),
    _Guess("iso8859_5", _CYRILLIC),
    _Guess("cp866", _CYRILLIC),
    _Guess("mac_cyrillic", _CYRILLIC),
    _Guess("cp1253", _GREEK),
    _Guess("iso8859_7", _GREEK),
    _Guess("cp1255", _HEBREW),
    _Guess("iso8859_8", _HEBREW),
    _Guess("cp1256", _ARABIC),
    _Guess("iso8859_6", _ARABIC),
    _Guess("cp874", _THAI),
    _Guess("cp1250"),
    _Guess("iso8859_2"),
    _Guess("cp1254"),
    _Guess("cp1257"),
    _Guess("iso8859_15"),
    _Guess("cp1258"),
    _Guess("mac_roman"),
    _Guess("cp850"),
    _Guess("cp437"),
)
_NOT_ASCII = LatePattern(r"[^\x00-\x7f]")
_ESCAPED = LatePattern(rb"\x1b\$[@B]|\x1b\(J|\x1b\$\)C")


def guessed_encoding(content: bytes) -> str:
    """Return the encoding that the text is probably in. It is not UTF-8, and has bytes that are not ASCII."""
    sample = _sample(content)
    # A few characters rule out most of them; only the others are worth a look at more.
    first = {candidate: _score(sample, candidate, _FIRST_JUDGED) for candidate in _CANDIDATES}
    finalists = set(sorted(_CANDIDATES, key=lambda candidate: -first[candidate])[:_FINALISTS])
    best, most = "cp1252", float("-inf")
    for candidate in _CANDIDATES:
        if candidate not in finalists:
            continue
        score = _score(sample, candidate, _MOST_JUDGED)
        if score > most + 1e-9:
            best, most = candidate.encoding, score
    return best


def escaped_encoding(content: bytes) -> str | None:
    """Return the encoding whose escape sequences are in a text of ASCII bytes, None where there are none."""
    match = _ESCAPED.search(content[: _SAMPLE_BYTES * 8])
    if match is None:
        return None
    return "iso2022_kr" if match[0] == b"\x1b$)C" else "iso2022_jp_2"


_ALPHABETS = range(0x01, 0x12)
"""The high bytes of the alphabets in UTF-16, from Latin with marks to Hangul letters."""


def utf_16_encoding(content: bytes) -> str | None:
    """Return the form of UTF-16 that a text without a byte order mark is in, None where it is not."""
    head = content[: _SAMPLE_BYTES // 2 * 2]
    if len(head) < 4 or len(content) % 2:
        return None
    even, odd = head[0::2], head[1::2]
    for encoding, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if low.count(0) > 0.02 * len(low):
            continue
        try:
            text = head.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not all(character.isprintable() or character in "\t\r\n\f\ufeff\u3000\xa0" for character in text):
            continue
        # Letters of Latin scripts have a zero each; where there are none, the characters must be common ones.
        if high.count(0) >= max(_UTF_16_SHARE * len(high), 2) or _is_one_script(high) or _is_east_asian(text):
            return encoding
    return None


def _is_one_script(high: bytes) -> bool:
    """Return whether these are the high bytes of a text in an alphabet, as Greek or Cyrillic, with spaces."""
    spaces = high.count(0)
    letters = max(map(high.count, _ALPHABETS))
    return spaces >= max(0.02 * len(high), 2) and spaces + letters >= 0.95 * len(high)


def _is_east_asian(text: str) -> bool:
    characters = [character for character in text[:_MOST_JUDGED] if not character.isascii()]
    if len(characters) < 0.5 * len(text):
        return False
    shares = (
        sum(character in common or character in _PUNCTUATION for character in characters)
        for common in (_HAN, _HAN_TRADITIONAL, _KANA + _KANJI, _HANGUL)
    )
    return max(shares) > 0.6 * len(characters)


def _sample(content: bytes) -> bytes:
    """Return lines with bytes that are not ASCII, as many as are judged."""
    if len(content) <= _SAMPLE_BYTES:
        return content
    lines: list[bytes] = []
    size = 0
    for line in content[: _SAMPLE_BYTES * 64].splitlines(keepends=True):
        if not line.isascii():
            lines.append(line[:_SAMPLE_BYTES])
            size += len(line)
            if size >= _SAMPLE_BYTES:
                break
    return b"".join(lines) or content[:_SAMPLE_BYTES]


def _score(sample: bytes, candidate: _Guess, judged: int) -> float:
    """Return how well the encoding fits the first `judged` characters that are not ASCII."""
    try:
        decoder = codecs.getincrementaldecoder(candidate.encoding)("replace")
    except LookupError:
        return float("-inf")
    text = decoder.decode(sample)
    places = [match.start() for match in islice(_NOT_ASCII.finditer(text), judged)]
    if not places:
        return float("-inf")
    if candidate.common:
        weights = _weights(candidate.common, is_wide=candidate.is_wide)
        judge = _wide_point if candidate.is_wide else _point
        return sum(judge(text, at, weights) for at in places) / len(places)
    points = sum(_latin_point(text, at) for at in places) / len(places)
    letters = [
        text[at].lower()
        for at in places
        if (text[at].isalpha() and text[at] not in "ªº") or text[at] in _TONES
    ]
    fit = max(_fit(letters, alphabet) + prior for prior, alphabet in _LATIN)
    return points + fit * len(letters) / len(places)


@lru_cache(maxsize=64)
def _weights(common: str, *, is_wide: bool) -> dict[str, float]:
    """Return how much a letter says for its script: common ones more than others."""
    if is_wide:
        return dict.fromkeys(common, 1.0)
    weights = {letter: 1.0 - 0.7 * at / len(common) for at, letter in enumerate(common)}
    return weights | dict.fromkeys(_RARE & weights.keys(), 0.2)


def _wide_point(text: str, at: int, weights: Mapping[str, float]) -> float:
    """Return how well a character of a script of East Asia fits."""
    character = text[at]
    if character == "\ufffd":
        return -4.0
    if character in weights:
        return 1.0
    if character in _PUNCTUATION or "\uff01" <= character <= "\uff5e":
        return 0.6
    if "\uff61" <= character <= "\uff9f":
        return -0.4
    if "\u3040" <= character <= "\u30ff" and "の" in weights:
        return 0.6
    if "\u4e00" <= character <= "\u9fff":
        return -0.1 if "이" in weights else 0.2
    if "\uac00" <= character <= "\ud7a3":
        return 0.1
    return -1.0 if character.isalpha() else -0.6


def _point(text: str, at: int, weights: Mapping[str, float]) -> float:
    """Return how well a character of an alphabet other than the Latin one fits."""
    character = text[at]
    before, after = text[at - 1] if at else " ", text[at + 1] if at + 1 < len(text) else " "
    weight = weights.get(character.lower())
    if weight is None:
        return _symbol_point(character, before, after)
    if (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha()):
        return -0.8
    if character in _THAI_MARKS and (before not in weights or before in _THAI_MARKS_AND_LEADS):
        return -0.3 if before in _THAI_MARKS else -1.0
    if character in _THAI_LEADS and (after not in weights or after in _THAI_MARKS_AND_LEADS):
        return -1.0
    if character in _FINALS:
        return -0.5 if after in weights else 1.2
    if character in _MEDIALS and after not in weights and before in weights:
        return -0.5
    if character.isupper():
        if before.islower():
            return -1.0
        if before.isupper():
            return 0.3
        return weight if character.lower() in _RARE else 0.8
    if before.isupper() and at > 1 and text[at - 2].isupper():
        return -0.5
    return weight


def _latin_point(text: str, at: int) -> float:
    """Return what speaks for or against a character in a text of Latin letters, which count elsewhere."""
    character = text[at]
    before, after = text[at - 1] if at else " ", text[at + 1] if at + 1 < len(text) else " "
    if character in _TONES:
        return 0.0 if before.isalpha() else -1.0
    if not character.isalpha() or character in "ªº":
        return _symbol_point(character, before, after)
    if character.isupper() and before.islower():
        return -1.0
    if before > "\x7f" and after > "\x7f" and before.isalpha() and after.isalpha():
        return -0.6
    return 0.0


def _symbol_point(character: str, before: str, after: str) -> float:
    if character == "\ufffd":
        return -4.0
    if character in "ªº":
        return 0.3 if before.isdecimal() or (not after.isalpha() and before.isspace()) else -1.0
    if character in "¿¡" and after.isalpha() and not before.isalpha():
        return 1.0
    if character in "’'\xad":
        return 0.3
    if before.isalpha() and after.isalpha():
        return -1.5
    if character in _PUNCTUATION:
        return 0.3
    return -2.0 if unicodedata.category(character) in ("Cc", "Cn", "Co") else -0.8


def _fit(letters: Sequence[str], alphabet: str) -> float:
    """Return from -1 to 1 how many of the letters are in the alphabet."""
    if not letters:
        return 0.0
    return sum(1 if letter in alphabet else -1 for letter in letters) / len(letters)
