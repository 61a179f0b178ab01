"""Of an EPUB the model sees the chapters in the order of reading."""

from tests import files
from tests.office_files import epub, refusal, text_of

NAV = (
    b'<html xmlns="http://www.w3.org/1999/xhtml"><body><nav><a href="c%200.xhtml#top">The <b>'
    b"Storm</b></a></nav>"
    b"</body></html>"
)
CIPHER = (
    '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData><e:EncryptionMethod'
    ' Algorithm="{}"/><e:CipherData><e:CipherReference URI="{}"/></e:CipherData></e:EncryptedData>'
    "</encryption>"
)


def test_chapters_come_in_the_order_of_the_spine_with_their_titles() -> None:
    content = epub(
        "<h1>One</h1><p>It <a id='x'/>was <a href='c%201.xhtml'>dark</a>.</p>",
        "<p>Two</p>",
        manifest='<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>',
        members={"Text/nav.xhtml": NAV},
        spine=(1, 0),
    )
    assert [line for line in text_of(content).splitlines() if line] == [
        *("[chapter 1]", "[book: The Sea by Ann]", "Two", "[chapter 2: The Storm]", "# One", "It was dark."),
    ]


def test_a_book_whose_chapters_are_encrypted_is_refused_and_one_with_hidden_fonts_is_not() -> None:
    drm = CIPHER.format("http://www.w3.org/2001/04/xmlenc#aes256-cbc", "Text/c%200.xhtml").encode()
    failure = refusal(epub("<p>x</p>", members={"META-INF/encryption.xml": drm}))
    assert (failure.reason, "DRM" in failure.why) == ("unsupported", True)
    font = CIPHER.format("http://www.idpf.org/2008/embedding", "Text/font.otf").encode()
    assert "open" in text_of(epub("<p>open</p>", members={"META-INF/encryption.xml": font}))


def test_a_chapter_that_is_missing_is_said_to_be() -> None:
    content = epub(
        "<p>one</p>",
        manifest='<item id="c1" href="none.xhtml" media-type="application/xhtml+xml"/>',
        spine=(0, 1),
    )
    assert "missing" in text_of(content).partition("[chapter 2]")[2]


def test_a_book_without_a_list_of_chapters_is_broken() -> None:
    assert "broken" in refusal(epub("<p>x</p>", members={"Text/book.opf": b""})).why


def test_chapters_of_other_kinds_are_shown_as_far_as_they_can_be() -> None:
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg"><text>drawn words</text></svg>'
    content = epub(
        "<p>one</p>",
        "<p>for every reader</p>",
        manifest='<item id="c2" href="a.svg" media-type="image/svg+xml"/>'
        '<item id="c3" href="a.xml" media-type="application/x-dtbook+xml" fallback="c1"/>'
        '<item id="c4" href="a.png" media-type="image/png"/>',
        members={"Text/a.svg": drawing, "Text/a.xml": b"<dtbook/>", "Text/a.png": files.PNG},
        spine=(0, 2, 3, 4),
    )
    text = text_of(content)
    assert "drawn words" in text.partition("[chapter 2]")[2].partition("[chapter 3]")[0]
    assert "for every reader" in text.partition("[chapter 3]")[2]
    assert "[picture]" in text.partition("[chapter 4]")[2]


def test_the_style_sheet_of_a_book_says_what_is_raised() -> None:
    content = epub(
        '<p>10<span class="up">6</span></p>',
        manifest='<item id="s" href="a.css" media-type="text/css"/>',
        members={"Text/a.css": b".up { vertical-align: super }"},
    )
    assert "10^6" in text_of(content)
