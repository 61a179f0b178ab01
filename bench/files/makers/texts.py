"""Plain text in the encodings that people still have, HTML, RTF, notebooks."""

import json
from collections.abc import Iterator

from bench.files.case import Case

_SAMPLES = {
    "chinese": ("姓名,城市\n张伟,北京\n王芳,上海\n李娜,广州的冬天很温暖\n", ("gb18030", "gbk", "utf-16-le")),
    "chinese-traditional": ("姓名,城市\n張偉,臺北\n王芳,高雄\n李娜,臺中的冬天很溫暖\n", ("big5",)),
    "japanese": (
        "名前,都市\n山田太郎,東京です\n鈴木花子,おおさかのまち\n",
        ("shift_jis", "euc_jp", "iso2022_jp"),
    ),
    "korean": ("이름,도시\n김철수,서울입니다\n이영희,부산의 바다가 좋다\n", ("euc_kr", "cp949")),
    "russian": (
        "Имя,Город\nАнна Каренина,Москва\nПривет, как твои дела сегодня?\nЗавтра будет хорошая погода.\n",
        ("cp1251", "koi8_r", "iso8859_5", "cp866"),
    ),
    "greek": ("Όνομα,Πόλη\nΝίκος,Αθήνα\nΚαλημέρα σας, τι κάνετε σήμερα το πρωί;\n", ("cp1253", "iso8859_7")),
    "polish": ("Imię,Miasto\nŁukasz,Łódź\nZażółć gęślą jaźń, proszę bardzo\n", ("cp1250", "iso8859_2")),
    "turkish": ("İsim,Şehir\nÇağrı,İstanbul\nGünaydın, nasılsınız bugün? Şöyle böyle\n", ("cp1254",)),
    "german": (
        "Name,Straße\nMüller,Grüne Allee\nÄpfel und Öl für fünf Euro\n",
        ("cp1252", "latin-1", "cp850"),
    ),
    "hebrew": ("שם,עיר\nדוד,ירושלים\nשלום לכולם ומה שלומכם היום\n", ("cp1255",)),
    "arabic": ("الاسم,المدينة\nأحمد,القاهرة\nصباح الخير كيف حالكم اليوم\n", ("cp1256",)),
}


def cases() -> Iterator[Case]:
    for language, (text, encodings) in _SAMPLES.items():
        for encoding in encodings:
            longer = text if encoding.startswith("utf") else text * 3
            content = longer.encode(encoding, "ignore")
            yield Case("text, legacy encoding", f"{language}-{encoding}.csv", content, longer)
    yield Case("text", "utf8.txt", "Grüße aus 北京 🙂\n".encode(), "Grüße aus 北京")
    broken = ("Ein langer Text über Äpfel. " * 40).encode() + b"\xff" + b" und mehr"
    yield Case("text", "one-bad-byte.txt", broken, "Ein langer Text über Äpfel. " * 40 + "und mehr")
    yield Case(
        "HTML",
        "unclosed-cells.html",
        b"<html><body><table><tr><th>Name<th>Q1<th>Q2<th>Q3<tr><td>Alice<td></td><td>5</table></body></html>",
        "Name Q1 Q2 Q3 Alice 5",
        texts=("| Alice |  | 5 |",),
    )
    yield Case(
        "HTML",
        "pre-link-alt.html",
        b'<!doctype html><body><pre>def f():\n    return 1</pre><a href="https://example.org/x">the page</a>'
        b'<img src="a.png" alt="A cat"></body>',
        "def f return 1 the page",
        texts=("    return 1", "https://example.org/x", "A cat"),
    )
    rtf = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 Dear \b Ann\b0 ,\par the price is 5 \'80.\par}"
    yield Case("RTF", "letter.rtf", rtf, "Dear Ann the price is 5 €", absent=("fonttbl", "\\par"))
    yield Case(
        "IPYNB", "notebook.ipynb", _notebook(), "Results of the run x = 6 * 7 42", absent=("cell_type",)
    )


def _notebook() -> bytes:
    output = {"output_type": "stream", "name": "stdout", "text": ["42\n"]}
    code = {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": ["x = 6 * 7"],
        "outputs": [output],
    }
    words = {"cell_type": "markdown", "metadata": {}, "source": ["# Results of the run"]}
    return json.dumps({"cells": [words, code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()
