"""A text is read in the encoding that it is in, said or not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.reading.kinds import kind_of
from nanobot.reading.plain import decode, decode_html, decoded
from tests.unit.reading.formats.reading import text_of

_SHORT = [
    ("gb18030", "姓名,城市\n王芳,广州\n赵强,成都"),
    ("gbk", "订单编号,数量,金额\n1001,5,20元"),
    ("big5", "姓名,城市\n黃小明,臺中"),
    ("cp932", "氏名,住所\n佐藤,大阪府"),
    ("euc_jp", "お知らせ：会議は明日です"),
    ("iso2022_jp", "お知らせ：会議は明日です"),
    ("euc_kr", "제목,내용\n회의,내일 오후"),
    ("cp1251", "Фамилия,Город\nПетров,Самара"),
    ("koi8_r", "Добрый день, коллеги"),
    ("iso8859_5", "Счёт оплачен вчера"),
    ("cp866", "Список товаров на складе"),
    ("mac_cyrillic", "Отдел продаж сообщает: заказ отправлен вчера"),
    ("cp1251", "Доброго ранку, шановні колеги"),
    ("cp1253", "Καλημέρα σας, τι κάνετε"),
    ("iso8859_7", "Τιμολόγιο πώλησης"),
    ("cp1255", "שלום לכולם, מה שלומכם"),
    ("cp1256", "السلام عليكم ورحمة الله"),
    ("cp874", "รายการสินค้าและราคา"),
    ("cp1252", "Größe;Straße\nMüller;Köln"),
    ("cp1252", "Société Générale, payé à l’avance – 5 €"),
    ("cp1252", "¿Cuánto cuesta el año próximo, señor?"),
    ("cp1252", "Informações sobre preço e condições"),
    ("cp1252", "Smörgåsbord på måndag, kött och fläsk"),
    ("mac_roman", "Größe und Gewicht, schöne Grüße"),
    ("cp850", "Größe und Gewicht, schöne Grüße"),
    ("cp1250", "Dzień dobry, proszę o fakturę za książki"),
    ("iso8859_2", "Dzień dobry, proszę o fakturę za książki"),
    ("cp1250", "Dobrý den, děkuji za objednávku"),
    ("cp1250", "Jó reggelt, köszönöm a gyűrűt és a virágot, szőlő"),
    ("cp1254", "İyi günler, siparişiniz hazır, teşekkürler"),
    ("cp1257", "Laba diena, ačiū už užsakymą, gražūs gėlynai"),
    ("utf-16-le", "Name,City\nAnn,Oslo"),
    ("utf-16-be", "Name,City\nAnn,Oslo"),
    ("utf-16-le", "你好，我们的公司在北京"),
    ("utf-16", "Größe"),
    ("utf-32", "Größe"),
    ("utf-8-sig", "Größe"),
]


@pytest.mark.parametrize(("encoding", "text"), _SHORT)
def test_a_short_text_is_read_in_any_usual_encoding(encoding: str, text: str) -> None:
    assert text_of(text.encode(encoding), "a.csv") == text


@pytest.mark.parametrize(
    ("charset", "encoding", "text"),
    [
        ("gb18030", "gb18030", "姓"),
        ("GB2312", "gbk", "镕"),
        ("iso-8859-1", "cp1252", "“5 €”"),
        ("shift_jis", "cp932", "①"),
        ("windows-1251", "cp1251", "ю"),
        ("utf-16le", "utf-16-le", "é"),
    ],
)
def test_a_declared_encoding_decides_where_the_text_alone_would_not(
    charset: str, encoding: str, text: str
) -> None:
    assert decode(text.encode(encoding), charset=charset) == text


@pytest.mark.parametrize(
    "charset", ["hex", "base64", "rot13", "idna", "utf-7", "unicode_escape", "no such", "\0"]
)
def test_a_declared_encoding_that_no_text_is_in_counts_for_nothing(charset: str) -> None:
    assert decode("Größe".encode(), charset=charset) == "Größe"
    assert decode("Größe und Maß".encode("cp1252"), charset=charset) == "Größe und Maß"


def test_what_is_utf8_is_read_as_such_whatever_is_declared() -> None:
    assert decode("你好".encode(), charset="iso-8859-1") == "你好"


@pytest.mark.parametrize("text", ["Größe, naïve, 你好. " * 60, "plain words " * 100])
def test_a_bad_byte_in_a_text_of_utf8_is_marked_and_nothing_else_is_lost(text: str) -> None:
    content = text.encode()
    middle = content.index(b" ", len(content) // 2)
    read = text_of(content[:middle] + b"\xff" + content[middle:])
    assert read.replace("\ufffd", "", 1).startswith(text.strip())
    assert read.rstrip().endswith("[1 place that cannot be read as utf-8: shown as \ufffd]")


def test_a_text_that_was_cut_in_a_character_is_still_utf8() -> None:
    assert decode("你好世界".encode()[:-1]) == "你好世\ufffd"


def test_bad_bytes_in_another_encoding_are_marked_too() -> None:
    text = "姓名,城市\n王芳,广州\n赵强,成都\n" * 30
    read = decoded(text.encode("gb18030") + b"\xff\n", charset="gb18030")
    assert read.text.startswith(text)
    assert (read.encoding, read.lost) == ("gb18030", 1)


def test_a_page_says_its_encoding_itself() -> None:
    assert "ю" in decode_html('<html><meta charset="windows-1251">ю'.encode("cp1251"))
    assert "ю" in decode_html('<?xml version="1.0" encoding="koi8-r"?><p>ю'.encode("koi8_r"))


@given(
    st.binary(max_size=400),
    st.sampled_from([None, "utf-16", "gb18030", "shift_jis", "latin-1", "iso2022_jp"]),
)
def test_any_bytes_are_some_text(content: bytes, charset: str | None) -> None:
    decoded(content, charset=charset).text.encode("utf-8", "surrogatepass")


@given(st.text(alphabet=st.characters(codec="utf-8")))
def test_what_is_utf8_is_never_anything_else(text: str) -> None:
    if "\0" not in text and "\x1b" not in text and not text.startswith("\ufeff"):
        assert decode(text.encode()) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        "Привет, мир! Это отчёт о продажах.",
        "Καλημέρα κόσμε, αυτό είναι ένα έγγραφο",
        "שלום עולם זה מסמך בעברית",
    ],
)
def test_utf_16_of_any_alphabet_needs_no_mark(text: str, encoding: str) -> None:
    assert text_of(text.encode(encoding), "a.txt") == text


def test_a_text_is_one_in_spite_of_some_zeros() -> None:
    assert text_of(b"when,what\n1,\x00tea\n2,milk\n", "a.csv") == "when,what\n1,tea\n2,milk\n"


def test_a_file_with_zeros_whose_name_does_not_say_that_it_is_text_is_none() -> None:
    assert kind_of(b"when,what\n1,\x00tea\n2,milk\n", name="a.dat") == "binary"
