"""A notebook says its cells and what they put out."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanobot.reading.bounds import DocumentBounds
from nanobot.reading.extraction import extract
from nanobot.reading.messages import ExtractionFailure, ExtractionRequest
from tests import files
from tests.unit.reading.formats.reading import extracted, text_of


def test_cells_and_what_they_put_out_are_read() -> None:
    picture = base64.b64encode(files.PNG).decode()
    book = {
        "metadata": {"language_info": {"name": "python"}},
        "cells": [
            {"cell_type": "markdown", "source": ["# Title\n", "words"]},
            {
                "cell_type": "code",
                "source": "1 / 0",
                "outputs": [
                    {"output_type": "stream", "text": ["out\n"]},
                    {
                        "output_type": "execute_result",
                        "data": {"text/plain": ["42"], "text/html": "<b>42</b>"},
                    },
                    {"output_type": "error", "traceback": ["\x1b[31mZeroDivisionError\x1b[0m"]},
                    {"output_type": "display_data", "data": {"image/png": picture}},
                ],
            },
        ],
    }
    read = extracted(json.dumps(book).encode(), "a.ipynb", wants_pictures=True)
    assert read.text == (
        "# Title\nwords\n\n```python\n1 / 0\n```\n\n[output]\nout\n\n[output]\n42\n\n"
        "[output]\nZeroDivisionError\n\n"
        "[picture 1]"
    )
    assert read.pictures[0].content == files.PNG


def test_a_notebook_of_the_older_format_is_read() -> None:
    cell = {"cell_type": "code", "input": "x", "outputs": [{"output_type": "pyout", "text": "5"}]}
    book = {"worksheets": [{"cells": [{"cell_type": "heading", "level": 2, "source": "Old"}, cell]}]}
    assert text_of(json.dumps(book).encode(), "a.ipynb") == "## Old\n\n```\nx\n```\n\n[output]\n5"


@pytest.mark.parametrize("content", [b"{", b"{}", b'{"cells": 5}', b'{"cells": []}', b"{" * 5_000])
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    outcome = extract(ExtractionRequest("notebook", DocumentBounds()), content)
    assert isinstance(outcome, ExtractionFailure)


_values = st.recursive(
    st.none()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["code", "stream", "error", "markdown"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "cells",
                    "cell_type",
                    "source",
                    "outputs",
                    "output_type",
                    "data",
                    "text",
                    "image/png",
                    "level",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_values)
def test_any_json_is_read_or_refused(value: object) -> None:
    content = json.dumps({"cells": [value, {"cell_type": "code", "outputs": [value]}]}).encode()
    extract(ExtractionRequest("notebook", DocumentBounds()), content)


def outputs(*outputs: dict[str, object]) -> bytes:
    return json.dumps({"cells": [{"cell_type": "code", "source": "x", "outputs": outputs}]}).encode()


def test_pictures_and_texts_that_a_notebook_of_the_older_format_put_out_are_read() -> None:
    picture = base64.b64encode(files.PNG).decode()
    shown = [
        {"output_type": "display_data", "png": picture},
        {"output_type": "pyout", "latex": ["$x^2$"]},
    ]
    cell = {"cell_type": "code", "input": "x", "outputs": shown}
    book = {"worksheets": [{"cells": [cell]}]}
    read = extracted(json.dumps(book).encode(), "a.ipynb", wants_pictures=True)
    assert [each.content for each in read.pictures] == [files.PNG]
    assert "$x^2$" in read.text


def test_what_is_put_out_as_a_page_alone_keeps_its_tables() -> None:
    page = "<table><tr><th>city<th>people<tr><td>Rome<td>5</table>"
    text = text_of(outputs({"output_type": "display_data", "data": {"text/html": page}}), "a.ipynb")
    assert "| city | people |\n|---|---|\n| Rome | 5 |" in text


def test_output_of_a_kind_that_is_not_shown_is_named() -> None:
    chart: dict[str, object] = {"application/vnd.plotly.v1+json": {"data": []}}
    text = text_of(outputs({"output_type": "display_data", "data": chart}), "a.ipynb")
    assert "[output that is not shown: application/vnd.plotly.v1+json]" in text
