"""Formulas stay as the model wrote them; what is none is Markdown as before."""

import io

import pytest
from rich.console import Console

from nanobot.cli.chat_markdown import finished, lines

DISPLAY = r"""\[
a * b * c
+ \frac{1}{2}
- x_{1}
= 3
\]"""


def shown(text: str) -> list[str]:
    console = Console(
        file=io.StringIO(), force_terminal=True, width=79, color_system=None, legacy_windows=False
    )
    return lines(text, console)


@pytest.mark.parametrize(
    "formula",
    [
        r"\(e^{i\pi} + 1 = 0\)",
        r"\(a*b*c\)",
        r"\[a_1 * b_1 * c\]",
        "$a*b*c$",
        r"$\frac{a}{b}$",
        "$x$",
        r"$a\$b$",
        r"$$\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}$$",
    ],
)
def test_a_formula_in_a_line_keeps_its_delimiters_and_everything_between_them(formula: str) -> None:
    assert shown(f"So {formula} holds.") == [f"So {formula} holds."]
    assert shown(f"* So {formula}") == [f" • So {formula}"]


@pytest.mark.parametrize(("opening", "closing"), [(r"\[", r"\]"), ("$$", "$$")])
def test_a_formula_of_several_lines_stays_line_by_line(opening: str, closing: str) -> None:
    formula = DISPLAY.replace(r"\[", opening).replace(r"\]", closing)
    assert shown(f"Before\n{formula}\nafter") == ["Before", "", *formula.split("\n"), "", "after"]
    inside = "\n".join(f"  {line}" for line in formula.split("\n"))
    assert shown(f"* then:\n{inside}") == [" • then:", *(f"   {line}" for line in formula.split("\n"))]


def test_a_formula_that_is_still_written_is_one_block_that_is_not_finished() -> None:
    text = "Before\n\n"
    for line in DISPLAY.split("\n"):
        text += f"{line}\n"
        assert finished(text) == len("Before\n\n")
    assert finished(f"{text}\nafter\n") == len(text) + 1


def test_a_delimiter_without_a_partner_keeps_its_backslash_and_the_rest_is_markdown() -> None:
    assert shown(r"an open \( and *em*") == [r"an open \( and em"]
    assert shown(r"a lost \] and *em*") == [r"a lost \] and em"]
    assert shown("\\[\n\n* one") == [r"\[", "", " • one"]


def test_money_and_code_are_no_formulas() -> None:
    assert shown("It costs $5, or *ten* for $10.") == ["It costs $5, or ten for $10."]
    assert shown("from $1*2* to $3") == ["from $12 to $3"]
    assert shown(r"`\(x\)` and `$a$`") == [r"\(x\) and $a$"]
    assert shown("```\n\\[ x \\]\n```")[-1].strip() == r"\[ x \]"
    assert shown(r"\*no em\*") == ["*no em*"]


def test_many_delimiters_without_a_partner_cost_no_more_than_their_length() -> None:
    """Each is searched for its partner within a bound: ten times the text is ten times the work."""
    assert shown(r"\( " * 20_000)[0].startswith(r"\( \( ")
    assert shown("$a " * 20_000)[0].startswith("$a $a ")
