"""Short texts and small tables of many languages, in the encodings that people have them in."""

from collections.abc import Iterator

from bench.files.case import Case

_TEXTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("Chinese", ("gb18030", "gbk"), ("你好，请查收附件", "品名,单价\n绿茶,25元\n红茶,30元\n")),
    ("Traditional Chinese", ("big5",), ("您好，請查收附件", "品名,單價\n綠茶,25元\n紅茶,30元\n")),
    (
        "Japanese",
        ("cp932", "euc_jp", "iso2022_jp"),
        ("ご連絡ありがとうございます", "品名,単価\nお茶,25円\nコーヒー,30円\n"),
    ),
    ("Korean", ("euc_kr",), ("안녕하세요, 감사합니다", "품명,단가\n녹차,25원\n홍차,30원\n")),
    (
        "Russian",
        ("cp1251", "koi8_r", "cp866", "iso8859_5"),
        ("Добрый вечер", "Товар;Цена\nЧай;25 руб\nКофе;30 руб\n"),
    ),
    ("Ukrainian", ("cp1251", "koi8_u"), ("Дякую за лист", "Товар;Ціна\nЧай;25 грн\nКава;30 грн\n")),
    ("Greek", ("cp1253", "iso8859_7"), ("Ευχαριστώ πολύ", "Προϊόν;Τιμή\nΤσάι;25\nΚαφές;30\n")),
    ("Hebrew", ("cp1255",), ("תודה רבה על המכתב", "מוצר,מחיר\nתה,25\nקפה,30\n")),
    ("Arabic", ("cp1256",), ("شكرا على الرسالة", "المنتج,السعر\nالشاي,25\nالقهوة,30\n")),
    ("Thai", ("cp874",), ("ขอบคุณสำหรับจดหมาย", "สินค้า,ราคา\nชา,25\nกาแฟ,30\n")),
    (
        "German",
        ("cp1252", "mac_roman", "cp850"),
        ("Viele Grüße aus Köln", "Käufer;Straße\nJäger;Hauptstraße 5\n"),
    ),
    (
        "French",
        ("cp1252", "mac_roman"),
        ("Merci à tous, à bientôt", "Article;Prix\nThé glacé;25 €\nCafé crème;30 €\n"),
    ),
    ("Spanish", ("cp1252",), ("¿Mañana o pasado mañana?", "Artículo;Precio\nTé de limón;25\nPiñón;30\n")),
    ("Portuguese", ("cp1252",), ("Não há informações", "Preço;Descrição\n25;Chá de maçã\n30;Pão\n")),
    ("Swedish", ("cp1252",), ("Tack så mycket, vi hörs", "Vara;Pris på båten\nKött;25\nMjölk;30\n")),
    (
        "Polish",
        ("cp1250", "iso8859_2"),
        ("Dziękuję za wiadomość", "Imię;Zamówienie\nŁukasz;książka\nGrażyna;żółw\n"),
    ),
    ("Czech", ("cp1250", "iso8859_2"), ("Děkuji, příště přijdu", "Zboží;Cena\nČaj;25 Kč\nRůže;30 Kč\n")),
    ("Turkish", ("cp1254",), ("Teşekkür ederim, görüşürüz", "Ürün;Fiyatı\nÇay;25\nSığır eti;30\n")),
    ("Lithuanian", ("cp1257",), ("Ačiū už laišką", "Prekė;Kaina\nŽalioji arbata;25\nŠokoladas;30\n")),
)


def cases() -> Iterator[Case]:
    for language, encodings, (note, table) in _TEXTS:
        for encoding in encodings:
            stem = f"{language.lower().replace(' ', '-')}-{encoding}"
            for name, text in ((f"{stem}-note.txt", note), (f"{stem}-table.csv", table)):
                yield Case("text, legacy encoding", name, text.encode(encoding), text, texts=(text.strip(),))
