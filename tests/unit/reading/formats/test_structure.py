"""However the elements of a document are put into one another: each visible word is shown, and only once."""

import re
from collections import Counter
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.office_files import docx, frame, odt, opendocument, pptx, shape, text_of

_EXAMPLES = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
_WORD = re.compile(r"[vh]\d+x")


class _Words:
    """Words that are all different: `v1x` is visible, `h1x` is not."""

    def __init__(self) -> None:
        self._numbers = count()
        self.visible: list[str] = []

    def new(self) -> str:
        word = f"v{next(self._numbers)}x"
        self.visible.append(word)
        return word

    def gone(self) -> str:
        return f"h{next(self._numbers)}x"


Tree = tuple[str, list["Tree"]]


def trees(kinds: list[str], children: int = 3) -> st.SearchStrategy[list[Tree]]:
    """Return lists of trees of nodes of these kinds."""
    nodes: st.SearchStrategy[list[Tree]] = st.deferred(
        lambda: st.lists(
            st.tuples(st.sampled_from(kinds), nodes | st.just([])), min_size=1, max_size=children
        )
    )
    return nodes


def check(content: bytes, words: _Words) -> None:
    if words.visible:
        assert Counter(_WORD.findall(text_of(content))) == Counter(words.visible)


# DOCX ---------------------------------------------------------------------------------------------

_INLINE = [
    "word",
    "deleted",
    "inserted",
    "sdt",
    "smartTag",
    "hyperlink",
    "field",
    "simple",
    "box",
    "math",
    "field2",
]
_BLOCKS = ["p", "sdt", "table", "customXml", "ins", "alternative", "nested"]


def _runs(nodes: list[Tree], words: _Words) -> str:
    return "".join(_inline(kind, children, words) for kind, children in nodes)


def _inline(kind: str, children: list[Tree], words: _Words) -> str:
    def text(word: str) -> str:
        return f'<w:r><w:t xml:space="preserve">{word} </w:t></w:r>'

    def character(type_: str) -> str:
        return f'<w:r><w:fldChar w:fldCharType="{type_}"/></w:r>'

    own = text(words.new()) if kind != "deleted" else ""
    if kind == "word":
        return own + _runs(children, words)
    if kind == "deleted":
        return f"<w:del><w:r><w:delText>{words.gone()}</w:delText></w:r></w:del>" + _runs(children, words)
    inside = own + _runs(children, words)
    if kind == "sdt":
        return f"<w:sdt><w:sdtPr/><w:sdtContent>{inside}</w:sdtContent></w:sdt>"
    if kind == "field":
        instruction = f"<w:r><w:instrText>REF {words.gone()}</w:instrText></w:r>"
        return character("begin") + instruction + character("separate") + inside + character("end")
    if kind == "field2":
        # The result of a field within an instruction is not shown.
        inner = character("begin") + character("separate") + text(words.gone()) + character("end")
        return character("begin") + inner + character("separate") + inside + character("end")
    if kind == "box":
        box = f"<w:txbxContent><w:p>{inside}</w:p></w:txbxContent>"
        once = f"<mc:Choice><wps:txbx>{box}</wps:txbx></mc:Choice>"
        again = f"<mc:Fallback><v:textbox>{_hidden(box)}</v:textbox></mc:Fallback>"
        return f"<w:r><mc:AlternateContent>{once}{again}</mc:AlternateContent></w:r>"
    if kind == "math":
        return f"<m:oMath><m:r><m:t>{words.new()}</m:t></m:r></m:oMath>" + inside
    name = {"inserted": "ins", "simple": "fldSimple"}.get(kind, kind)
    return f"<w:{name}>{inside}</w:{name}>"


def _hidden(content: str) -> str:
    return _WORD.sub("h0x", content)


def _blocks(nodes: list[Tree], inline: list[Tree], words: _Words) -> str:
    return "".join(_block(kind, children, inline, words) for kind, children in nodes)


def _block(kind: str, children: list[Tree], inline: list[Tree], words: _Words) -> str:
    own = f"<w:p>{_runs(inline, words)}</w:p>"
    if kind == "p":
        return own + _blocks(children, inline, words)
    inside = own + _blocks(children, inline, words)
    if kind in ("table", "nested"):
        cells = f"<w:tc>{inside}</w:tc>" + (f"<w:tc>{own_cell(words)}</w:tc>" if kind == "table" else "")
        deleted = (
            f"<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>{words.gone()}</w:t></w:r>"
            f"</w:p></w:tc></w:tr>"
        )
        return f"<w:tbl><w:tr>{cells}</w:tr>{deleted if kind == 'table' else ''}</w:tbl>"
    if kind == "sdt":
        return f"<w:sdt><w:sdtContent>{inside}</w:sdtContent></w:sdt>"
    if kind == "alternative":
        choice, fallback = f"<mc:Choice>{inside}</mc:Choice>", f"<mc:Fallback>{_hidden(inside)}</mc:Fallback>"
        return f"<mc:AlternateContent>{choice}{fallback}</mc:AlternateContent>"
    return f"<w:{kind}>{inside}</w:{kind}>"


def own_cell(words: _Words) -> str:
    return f"<w:p><w:r><w:t>{words.new()}</w:t></w:r></w:p>"


@_EXAMPLES
@given(trees(_BLOCKS), trees(_INLINE))
def test_each_word_of_a_docx_is_shown_once(blocks: list[Tree], inline: list[Tree]) -> None:
    words = _Words()
    check(docx(_blocks(blocks, inline, words)), words)


# PPTX ---------------------------------------------------------------------------------------------


def _shapes(nodes: list[Tree], words: _Words) -> str:
    pieces = []
    for kind, children in nodes:
        if kind in ("title", "body"):
            pieces.append(shape(words.new(), words.new(), placeholder=f'type="{kind}"'))
        elif kind == "table":
            cells = "".join(
                f"<a:tc><a:txBody><a:p><a:r><a:t>{words.new()}</a:t></a:r></a:p></a:txBody></a:tc>"
                for _ in range(2)
            )
            pieces.append(frame(f"<a:tbl><a:tr>{cells}</a:tr></a:tbl>"))
        elif kind == "group":
            pieces.append(f"<p:grpSp>{shape(words.new())}{_shapes(children, words)}</p:grpSp>")
            continue
        else:
            inside = shape(words.new())
            pieces.append(
                f"<mc:AlternateContent><mc:Choice>{inside}</mc:Choice>"
                f"<mc:Fallback>{_hidden(inside)}</mc:Fallback></mc:AlternateContent>"
            )
        pieces.append(_shapes(children, words))
    return "".join(pieces)


@_EXAMPLES
@given(st.lists(trees(["title", "body", "table", "group", "alternative"]), min_size=1, max_size=3))
def test_each_word_of_a_pptx_is_shown_once(slides: list[list[Tree]]) -> None:
    words = _Words()
    check(pptx(*(_shapes(slide, words) for slide in slides)), words)


# ODT and ODP --------------------------------------------------------------------------------------


def _spans(nodes: list[Tree], words: _Words) -> str:
    pieces = []
    for kind, children in nodes:
        inside = words.new() + " " + _spans(children, words)
        if kind == "note":
            body = f"<text:note-body><text:p>{inside}</text:p></text:note-body>"
            pieces.append(f"<text:note><text:note-citation>9</text:note-citation>{body}</text:note>")
        elif kind == "box":
            pieces.append(
                f"<draw:frame><draw:text-box><text:p>{inside}</text:p></draw:text-box></draw:frame>"
            )
        elif kind == "drawing":
            pieces.append(f"<draw:g><draw:rect><text:p>{inside}</text:p></draw:rect></draw:g>")
        else:
            pieces.append(f"<text:{kind}>{inside}</text:{kind}> ")
    return "".join(pieces)


def _odf_blocks(nodes: list[Tree], inline: list[Tree], words: _Words) -> str:
    pieces = []
    for kind, children in nodes:
        own = f"<text:p>{_spans(inline, words)}</text:p>"
        inside = own + _odf_blocks(children, inline, words)
        if kind == "list":
            pieces.append(f"<text:list><text:list-item>{inside}</text:list-item></text:list>")
        elif kind == "table":
            cell = f"<table:table-cell><text:p>{words.new()}</text:p></table:table-cell>"
            row = f"<table:table-row><table:table-cell>{inside}</table:table-cell>{cell}</table:table-row>"
            pieces.append(f"<table:table>{row}</table:table>")
        elif kind == "index":
            pieces.append(
                f"<text:table-of-content><text:index-body>{inside}</text:index-body></text:table-of-content>"
            )
        elif kind == "p":
            pieces.append(inside)
        else:
            pieces.append(f"<text:{kind}>{inside}</text:{kind}>")
    return "".join(pieces)


_ODF_BLOCKS = ["p", "list", "table", "index", "section"]
_ODF_INLINE = ["span", "a", "note", "box", "drawing", "meta", "date"]


@_EXAMPLES
@given(trees(_ODF_BLOCKS), trees(_ODF_INLINE))
def test_each_word_of_an_odt_is_shown_once(blocks: list[Tree], inline: list[Tree]) -> None:
    words = _Words()
    check(odt(_odf_blocks(blocks, inline, words)), words)


@_EXAMPLES
@given(trees(_ODF_BLOCKS, 2), trees(_ODF_INLINE, 2))
def test_each_word_of_an_odp_is_shown_once(blocks: list[Tree], inline: list[Tree]) -> None:
    words = _Words()
    box = f"<draw:frame><draw:text-box>{_odf_blocks(blocks, inline, words)}</draw:text-box></draw:frame>"
    show = f"<office:presentation><draw:page>{box}</draw:page></office:presentation>"
    check(opendocument(show, kind="presentation"), words)
