"""A mail says who wrote what to whom, and what was attached."""

import base64
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.messages import ExtractionRequest
from tests import files
from tests.unit.reading.formats.reading import extracted, text_of


def mail(subject: str = "Grüße 你好") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ann Müller <ann@example.org>"
    message["To"] = "bob@example.org"
    message["Subject"] = subject
    message["Date"] = "Mon, 1 Jun 2026 10:00:00 +0200"
    message["MIME-Version"] = "1.0"
    return message


def test_headers_text_attachments_and_mails_within_are_read() -> None:
    message = mail()
    message.set_content("Hello\nBörk\n")
    message.add_alternative("<p>Hello <b>html</b></p>", subtype="html")
    message.add_attachment(
        b"%PDF-1.4 x", maintype="application", subtype="pdf", filename="Rechnung für Ann.pdf"
    )
    inner = mail("Inner")
    inner.set_content("inner text")
    message.add_attachment(inner)
    text = text_of(message.as_bytes(), "a.eml")
    assert "From: Ann Müller <ann@example.org>\nTo: bob@example.org\n" in text
    assert "Subject: Grüße 你好\n\nHello\nBörk\n" in text
    assert "html" not in text
    assert "[attached file: Rechnung für Ann.pdf, 10 bytes]" in text
    assert text.index("[attached mail:]") < text.index("Subject: Inner") < text.index("inner text")


def test_a_mailbox_is_read_mail_by_mail() -> None:
    first, second = mail("First"), mail("Second")
    first.set_content("one\nFrom here on\n")
    first.add_attachment(b"PK", maintype="application", subtype="zip", filename="a.zip")
    second.set_content("two\n")
    box = b"".join(
        b"From ann@example.org Mon Jun  1 10:00:00 2026\n"
        + each.as_bytes().replace(b"\nFrom h", b"\n>From h")
        + b"\n"
        for each in (first, second)
    )
    text = text_of(box, "inbox.mbox")
    assert text.index("[mail 1 of 2]") < text.index("one\nFrom here on") < text.index("a.zip")
    assert text.index("a.zip") < text.index("[mail 2 of 2]") < text.index("Subject: Second\n\ntwo")


def test_a_text_that_begins_with_from_is_no_mailbox() -> None:
    said = b"From Rome to Pisa: how to get there in 2026\nTrain: two hours\n"
    assert text_of(said, "a.txt") == said.decode()


def test_a_mail_that_is_only_a_page_is_read_as_one() -> None:
    message = mail()
    message.set_content("<table><tr><td>Отчёт<td>5</table>", subtype="html", charset="windows-1251")
    assert "| Отчёт | 5 |" in text_of(message.as_bytes(), "a.eml")


def test_a_saved_page_is_read_with_its_pictures() -> None:
    message = mail("Saved")
    message.set_content("<h1>Title</h1><p>text", subtype="html")
    message.make_related()
    message.add_related(files.PNG, "image", "png", cid="<x>", filename="dot.png")
    read = extracted(message.as_bytes(), "a.mht", wants_pictures=True)
    assert "# Title" in read.text
    assert [picture.content for picture in read.pictures] == [files.PNG]


def test_headers_in_raw_bytes_and_unknown_charsets_are_shown() -> None:
    content = (
        b"From: \xcf\xf0\xe8\xe2\xe5\xf2 <a@b>\r\nSubject: =?no-such?B?SGk=?=\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=no-such\r\n\r\nGr\xc3\xbc\xc3\x9fe"
    )
    text = text_of(content, "a.eml")
    assert "Subject: Hi" in text
    assert text.endswith("Grüße")


def parts(kind: str, *parts_: str, headers: str = "From: a@b\n") -> bytes:
    """Return a mail of several parts, each with headers of its own."""
    body = "".join(f"--b\n{part}\n" for part in parts_)
    return f"{headers}MIME-Version: 1.0\nContent-Type: {kind}; boundary=b\n\n{body}--b--\n".encode()


@pytest.mark.parametrize(("subject", "charset"), [("Grüße 你好", "utf-8"), ("請求書", "shift_jis")])
def test_headers_that_say_nothing_of_their_encoding_are_of_that_of_the_mail(
    subject: str, charset: str
) -> None:
    content = (
        f"From: a@b\nSubject: {subject} =?utf-8?q?=C3=A9?=\nContent-Type: text/plain; charset={charset}\n\nx"
    )
    assert f"Subject: {subject} é" in text_of(content.encode(charset), "a.eml")


def test_what_is_attached_to_the_alternative_that_is_not_shown_is_named() -> None:
    file = 'Content-Type: application/pdf\nContent-Disposition: inline; filename="contract.pdf"\n\nx'
    page = "Content-Type: text/html\n\n<p>page</p>"
    beside = parts("multipart/mixed", page, file, headers="").decode().replace("--b", "--c")
    content = parts(
        "multipart/alternative",
        "Content-Type: text/plain\n\nwords",
        beside.replace("boundary=b", "boundary=c"),
    )
    text = text_of(content, "a.eml")
    assert "words" in text
    assert "page" not in text
    assert "[attached file: contract.pdf, 1 bytes]" in text


@pytest.mark.parametrize(
    "text",
    ["", "Content-Type: text/plain\n\nYou are invited", "Content-Type: text/html\n\n<p>You are invited"],
)
def test_an_invitation_is_read_beside_the_text(text: str) -> None:
    invitation = "Content-Type: text/calendar\n\nSUMMARY:Planning\nLOCATION:Room 5"
    read = text_of(parts("multipart/alternative", *filter(None, (text, invitation))), "a.eml")
    assert "SUMMARY:Planning\nLOCATION:Room 5" in read
    assert not text or "You are invited" in read


def test_a_report_says_why_a_mail_was_not_delivered() -> None:
    status = "Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n"
    status += "Action: failed\nDiagnostic-Code: 550 unknown\n"
    text = text_of(parts("multipart/report", "Content-Type: text/plain\n\nSorry", status), "a.eml")
    assert "Sorry" in text
    assert "Action: failed\nDiagnostic-Code: 550 unknown" in text


def test_an_attached_mail_that_is_encoded_is_read() -> None:
    inner = base64.encodebytes(b"From: c@d\nSubject: Inner\n\ninner words").decode()
    attached = f"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{inner}"
    text = text_of(parts("multipart/mixed", "Content-Type: text/plain\n\nouter", attached), "a.eml")
    assert "Subject: Inner\n\ninner words" in text


def test_parts_that_are_not_marked_as_the_mail_says_are_shown_as_they_stand() -> None:
    content = parts("multipart/mixed", "Content-Type: text/plain\n\nnot lost").replace(b"--b", b"--other")
    assert "not lost" in text_of(content, "a.eml")


def test_what_is_left_out_of_a_mail_is_said() -> None:
    many = parts("multipart/mixed", *["Content-Type: text/plain\n\nx"] * 1_100)
    assert "[the parts of this mail after the first 1000 are not read]" in text_of(many, "a.eml")
    long = mail("s" * 5_000)
    long.set_content("x")
    assert "[… and 3000 characters more]" in text_of(long.as_bytes(), "a.eml")


def test_mails_within_mails_end_somewhere() -> None:
    message = mail()
    message.set_content("innermost")
    for _ in range(40):
        outer = mail("outer")
        outer.set_content("text")
        outer.add_attachment(message)
        message = outer
    assert text_of(message.as_bytes(), "a.eml").count("Subject: outer") < 20


@given(
    st.lists(
        st.sampled_from(
            [b"From: a\n", b"Content-Type: multipart/mixed; boundary=x\n", b"Content-Type: text/html\n",
            b"\n",
             b"--x\n", b"--x--\n", b"Content-Transfer-Encoding: base64\n", b"Content-Type: message/rfc822\n",
             b"Subject: =?utf-8?q?a=?=\n", b"text \xff\n",
             b"Content-Disposition: attachment; filename*=x''%ff\n",
             b"Content-Type: text/plain; charset=\xff\n", b"=?x?b?a?=", b"Content-Type: \n"]
        ),
        max_size=14,
    )
)  # fmt: skip
def test_any_mail_is_read_or_refused(lines: list[bytes]) -> None:
    extract(ExtractionRequest("mail", DocumentBounds()), b"From: a\n" + b"".join(lines))
