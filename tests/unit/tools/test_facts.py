"""The time in any zone, and arithmetic that can do no harm."""

import datetime
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanobot.agent.toolset import Toolset
from nanobot.core.errors import ToolError
from nanobot.core.message import ToolCall, ToolResult
from nanobot.testing import FakeClock
from nanobot.tools.facts import calculate, current_time, evaluate

# Arithmetic ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 / 4", "2.5"),
        ("10 / 5", "2"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("7 % 3", "1"),
        ("2 ** 10", "1024"),
        ("2 ^ 10", "1024"),
        ("2^-1", "0.5"),
        ("2 ** 3 ** 2", "512"),
        ("-2 ** 2", "-4"),
        ("+5", "5"),
        ("3 × 4 ÷ 2 − 1", "5"),
        ("−3 + 5", "2"),
        ("0.1 + 0.2", "0.3"),
        ("1e3", "1000"),
        ("1_000 * 3", "3000"),
        ("0x10", "16"),
        ("  1 +   1  ", "2"),
        ("1/3", "0.333333333333333"),
        ("1e16", "1e+16"),
        ("123456789 * 987654321", "121932631112635269"),
        ("pi", "3.14159265358979"),
        ("tau / pi", "2"),
        ("log(e)", "1"),
        ("sqrt(2) ** 2", "2"),
        ("sqrt(16)", "4"),
        ("abs(-3)", "3"),
        ("round(2.567, 2)", "2.57"),
        ("round(2.5)", "2"),
        ("round(1234, -2)", "1200"),
        ("min(3, 1, 2) + max(4, 5)", "6"),
        ("floor(2.7) + ceil(2.2)", "5"),
        ("log(8, 2)", "3"),
        ("log2(8) + log10(1000)", "6"),
        ("exp(0)", "1"),
        ("sin(0) + cos(0) + tan(0)", "1"),
        ("asin(0) + acos(1) + atan(0)", "0"),
        ("degrees(pi)", "180"),
        ("radians(180) / pi", "1"),
        ("hypot(3, 4)", "5"),
        ("gcd(12, 18) + lcm(4, 6)", "18"),
        ("factorial(5)", "120"),
        ("factorial(0)", "1"),
        ("1 ** 5000", "1"),
        ("(-1) ** 9999", "-1"),
        ("0 ** 5000", "0"),
        ("2 ** -3000", "0"),
        ("2 ** 3000 // 2 ** 2990", "1024"),
        ("(1 + 0.05 / 12) ** 360", "4.46774431400611"),
    ],
)
def test_an_expression_has_its_value(expression: str, value: str) -> None:
    assert evaluate(expression) == value


def test_a_long_number_is_shown_as_far_as_it_helps_with_its_length() -> None:
    shown = evaluate("2 ** 4000")
    assert shown == f"{str(2**4000)[:400]}… (1205 digits)"
    assert evaluate("10 ** 399") == str(10**399)


numbers = st.one_of(
    st.integers(0, 10**6).map(str), st.floats(0, 10**6, allow_nan=False).map(lambda number: f"{number:.4f}")
)
expressions = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(" ".join),
        st.tuples(inner, st.integers(-3, 4)).map(lambda pair: f"({pair[0]}) ** ({pair[1]})"),
        inner.map("({})".format),
        inner.map("-{}".format),
        st.tuples(
            st.sampled_from(["abs", "round", "floor", "ceil", "sqrt", "log", "sin", "atan"]), inner
        ).map(lambda pair: f"{pair[0]}({pair[1]})"),
        st.tuples(st.sampled_from(["min", "max", "hypot"]), inner, inner).map(
            lambda three: f"{three[0]}({three[1]}, {three[2]})"
        ),
    ),
    max_leaves=8,
)
PYTHON: dict[str, Any] = {
    name: getattr(math, name) for name in ("floor", "ceil", "sqrt", "log", "sin", "atan", "hypot")
}


def python_says(expression: str) -> int | float | None:
    """Return what Python makes of an expression of ours; None where it has no value that can be shown."""
    try:
        value = eval(
            expression, {"__builtins__": {"abs": abs, "round": round, "min": min, "max": max}}, PYTHON
        )
    except (ArithmeticError, ValueError, TypeError):
        return None
    return (
        value if isinstance(value, int | float) and not math.isinf(value) and not math.isnan(value) else None
    )


@settings(max_examples=200)
@given(expressions.filter(lambda text: len(text) < 900))
def test_any_expression_has_the_value_that_python_gives_it(expression: str) -> None:
    expected = python_says(expression)
    if expected is None:
        with pytest.raises(ToolError):
            evaluate(expression)
    elif isinstance(expected, int):
        if len(str(expected)) <= 400:
            assert evaluate(expression) == str(expected)
    else:
        assert float(evaluate(expression)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "'' is not an arithmetic expression"),
        ("5 +", "'5 +' is not an arithmetic expression"),
        ("5!", "'5!' is not an arithmetic expression"),
        ("1\x00", "not an arithmetic expression"),
        ("1 / 0", "'1 / 0' divides by zero"),
        ("1 % 0", "divides by zero"),
        ("1 // 0.0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("log(8, 1)", "divides by zero"),
        ("sqrt(-1)", "'sqrt(-1)' has no value"),
        ("(-8) ** (1/3)", "a root of a negative number"),
        ("log(0)", "has no value"),
        ("min(3)", "has no value"),
        ("max()", "has no value"),
        ("gcd(1.5, 2)", "has no value"),
        ("sqrt(1, 2)", "has no value"),
        ("factorial(-1)", "factorial of -1: whole numbers from 0 to 450 are allowed"),
        ("factorial(451)", "whole numbers from 0 to 450"),
        ("factorial(2.5)", "whole numbers from 0 to 450"),
        ("factorial(1, 2)", "is not arithmetic"),
        ("round(2, 401)", "from -400 to 400"),
        ("round(1, 0.5)", "from -400 to 400"),
        ("1e999", "too large"),
        ("10.0 ** 400", "too large"),
        ("exp(1000)", "too large"),
        ("2 ** 4097", "too large"),
        ("2 ** 4000 * 2 ** 4000", "too large"),
        ("10 ** 400 / 1", "too large"),
        ("1, 2", "is not arithmetic"),
        ("1,000 + 2", "is not arithmetic"),
        ("x + 1", "'x' is not arithmetic"),
        ("inf", "is not arithmetic"),
        ("True", "not a number"),
        ("1j", "is not arithmetic"),
        ("'a' * 3", "is not arithmetic"),
        ("[1, 2]", "is not arithmetic"),
        ("1 < 2", "is not arithmetic"),
        ("1 if 2 else 3", "is not arithmetic"),
        ("1 and 2", "is not arithmetic"),
        ("~5", "is not arithmetic"),
        ("1 << 5", "is not arithmetic"),
        ("5 | 3", "is not arithmetic"),
        ("2(3)", "is not arithmetic"),
        ("pow(2, 3)", "is not arithmetic"),
        ("max(*[1, 2])", "is not arithmetic"),
        ("round(number=2)", "is not arithmetic"),
        ("(1).real", "is not arithmetic"),
        ("().__class__.__bases__", "is not arithmetic"),
        ("__import__('os').system('true')", "is not arithmetic"),
        ("(lambda: 1)()", "is not arithmetic"),
        ("(x := 1)", "is not arithmetic"),
        ("f'{1}'", "is not arithmetic"),
        ("[i for i in (1,)]", "is not arithmetic"),
        ("x" * 1_001, "expression of 1001 characters: at most 1000 are allowed"),
    ],
)
def test_what_is_no_arithmetic_or_has_no_value_is_told_so(expression: str, says: str) -> None:
    with pytest.raises(ToolError, match=re.escape(says)):
        evaluate(expression)


def test_what_is_not_understood_is_answered_with_what_is() -> None:
    with pytest.raises(ToolError, match=r"numbers, \+ - \* / // % \*\*, brackets, abs, .*, pi and e"):
        evaluate("foo(1)")


ATTACKS = {
    "a tower of powers": "9 ** 9 ** 9",
    "a tower of powers, with ^": "9^9^9^9",
    "a tower of floats": "9.9 ** 9.9 ** 9.9",
    "a long tower": "2 ** " * 199 + "2",
    "a huge root": "(10 ** 1000) ** (10 ** 1000)",
    "a huge negative power": "2 ** -(10 ** 1000)",
    "huge factorial": "factorial(10 ** 9)",
    "factorials of factorials": "factorial(factorial(factorial(4)))",
    "a product of factorials": "*".join(["factorial(450)"] * 60),
    "digits": "round(1, -10 ** 9)",
    "many digits": "round(10 ** 1000, -(2 ** 4000))",
    "deep brackets": "(" * 400 + "1" + ")" * 400,
    "deep lists": "[" * 900,
    "deep braces": "{" * 900,
    "deep calls": "abs(" * 190 + "x" + ")" * 190,
    "deep signs": "-" * 990 + "x",
    "deep nots": "not " * 240 + "1",
    "deep lambdas": "lambda:" * 140 + "1",
    "an endless string": "'" + "a" * 998,
    "a string times a number": "'a' * 10 ** 9",
    "a list times a number": "[0] * 10 ** 9",
    "a common multiple": "lcm(" + ",".join(f"2**2048-{i}" for i in range(1, 75)) + ")",
    "shifted bits": "1 << 10 ** 9",
    "nested strings": "f'" + "{f" * 300,
    "surrogates": "\ud800",
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("expression", ATTACKS.values(), ids=ATTACKS)
def test_no_expression_can_take_long(expression: str) -> None:
    with pytest.raises(ToolError):
        evaluate(expression)


@settings(max_examples=200)
@given(st.text(alphabet="0123456789.+-*/%^()e, absqrtminlogf[]{}:'\"\\_<>=!&|~@#\n\t×÷−\x00é", max_size=60))
def test_whatever_is_written_there_is_a_value_or_a_tool_error(expression: str) -> None:
    try:
        shown = evaluate(expression)
    except ToolError as error:
        assert error.message
    else:
        float(shown.split("…")[0])


async def calculated(arguments: str) -> ToolResult:
    return await Toolset([calculate()]).run(
        ToolCall("c", "calculate", arguments), turn_id="t", session_key="k"
    )


async def test_the_tool_answers_with_the_value() -> None:
    assert await calculated('{"expression": "6 * 7"}') == ToolResult("c", "42")


async def test_the_tool_tells_why_there_is_none() -> None:
    assert await calculated('{"expression": "1/0"}') == ToolResult(
        "c", "Error: '1/0' divides by zero", is_error=True
    )


# Time ---------------------------------------------------------------------------------------------


def at(text: str) -> FakeClock:
    """Return a clock that stands at a time in UTC."""
    return FakeClock(datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp())


async def told(clock: FakeClock, timezone: str | None) -> str:
    tool = current_time(clock)
    arguments = tool.arguments(timezone=timezone) if timezone is not None else tool.arguments()
    answer = await tool.run(arguments, None)
    assert isinstance(answer, str)
    return answer


@pytest.mark.parametrize(
    ("utc", "zone", "text"),
    [
        ("2027-01-15T12:00:00", "UTC", "Friday, 2027-01-15 12:00:00 UTC (UTC+0000)"),
        ("2027-01-15T23:30:00", "Asia/Tokyo", "Saturday, 2027-01-16 08:30:00 JST (UTC+0900)"),
        ("2027-01-15T03:30:00", "America/New_York", "Thursday, 2027-01-14 22:30:00 EST (UTC-0500)"),
        ("2027-01-15T12:00:00", "Asia/Kathmandu", "Friday, 2027-01-15 17:45:00 +0545 (UTC+0545)"),
        ("2027-03-28T00:59:59", "Europe/Berlin", "Sunday, 2027-03-28 01:59:59 CET (UTC+0100)"),
        ("2027-03-28T01:00:00", "Europe/Berlin", "Sunday, 2027-03-28 03:00:00 CEST (UTC+0200)"),
        ("2027-10-31T00:30:00", "Europe/Berlin", "Sunday, 2027-10-31 02:30:00 CEST (UTC+0200)"),
        ("2027-10-31T01:30:00", "Europe/Berlin", "Sunday, 2027-10-31 02:30:00 CET (UTC+0100)"),
        ("2027-11-07T05:59:59", "America/New_York", "Sunday, 2027-11-07 01:59:59 EDT (UTC-0400)"),
        ("2027-11-07T06:00:00", "America/New_York", "Sunday, 2027-11-07 01:00:00 EST (UTC-0500)"),
        ("2028-02-29T23:59:59", "UTC", "Tuesday, 2028-02-29 23:59:59 UTC (UTC+0000)"),
    ],
)
async def test_the_time_is_told_in_the_zone_asked_for(utc: str, zone: str, text: str) -> None:
    assert await told(at(utc), zone) == text


async def test_the_clock_is_asked_at_each_call() -> None:
    clock = at("2027-01-15T12:00:00")
    clock.advance(90)
    assert "12:01:30" in await told(clock, "UTC")


async def test_without_a_zone_it_is_the_servers_own() -> None:
    clock = at("2027-01-15T12:00:00")
    here = datetime.datetime.fromtimestamp(clock.now(), datetime.UTC).astimezone()
    assert await told(clock, None) == f"{here:%A, %Y-%m-%d %H:%M:%S %Z (UTC%z)}"


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "Atlantis",
        "Europe",
        "Europe/Atlantis",
        "../../etc/passwd",
        "/etc/passwd",
        "UTC+2",
        "a" * 5_000,
        "x\x00y",
        "zone.tab",
        "\ud800",
    ],
)
async def test_a_zone_that_does_not_exist_is_told_with_what_a_zone_looks_like(zone: str) -> None:
    with pytest.raises(ToolError) as caught:
        await told(at("2027-01-15T12:00:00"), zone)
    assert (
        caught.value.message
        == f"no time zone {zone!r}: give an IANA name such as Europe/Berlin or Asia/Tokyo"
    )


def test_both_tools_may_be_run_again_after_a_crash() -> None:
    """They change nothing."""
    assert current_time(FakeClock()).repeatable
    assert calculate().repeatable
