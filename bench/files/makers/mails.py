"""Mails and archived pages by the standard library."""

from collections.abc import Iterator
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from bench.files.case import Case


def cases() -> Iterator[Case]:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Ann <ann@example.org>", "Bob <bob@example.org>"
    mail["Subject"] = "Besprechung über 合同"
    mail.set_content("Wir treffen uns am Montag um neun.\n")
    mail.add_alternative("<p>Wir treffen uns am <b>Montag</b> um neun.</p>", subtype="html")
    mail.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="agenda.pdf")
    yield Case(
        "EML",
        "mail.eml",
        mail.as_bytes(),
        "Ann Bob Besprechung über 合同 Wir treffen uns am Montag um neun",
        texts=("agenda.pdf",),
        absent=("base64",),
    )
    page = MIMEMultipart("related", type="text/html")
    page["Subject"] = "A saved page"
    page["MIME-Version"] = "1.0"
    page.attach(
        MIMEText("<html><body><h1>Saved</h1><p>This page was kept.</p></body></html>", "html", "utf-8")
    )
    yield Case("MHT", "page.mht", page.as_bytes(), "Saved This page was kept", absent=("Content-Type",))
