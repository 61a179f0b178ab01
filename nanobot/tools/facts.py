"""Tools that answer questions of fact: the time, and arithmetic."""

import ast
import math
import operator
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from nanobot.core.clock import Clock
from nanobot.core.errors import ToolError
from nanobot.core.tool import Tool, ToolContext


class TimeArguments(msgspec.Struct, frozen=True):
    timezone: Annotated[
        str | None, msgspec.Meta(description="IANA name, e.g. Asia/Tokyo; omit for the server's own")
    ] = None


class CalculateArguments(msgspec.Struct, frozen=True):
    expression: Annotated[str, msgspec.Meta(description="e.g. (3 + 4) * sqrt(2) / 10 ** 3")]


def current_time(clock: Clock) -> Tool:
    """Return the tool that tells the date and time, in any time zone."""

    async def run(arguments: TimeArguments, context: ToolContext) -> str:
        now = datetime.fromtimestamp(clock.now(), UTC)
        if arguments.timezone is None:
            return f"{now.astimezone():%A, %Y-%m-%d %H:%M:%S %Z (UTC%z)}"
        # It loads most of what it needs to find its files, and few servers' agents ask for another zone.
        import zoneinfo

        try:
            zone = zoneinfo.ZoneInfo(arguments.timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ToolError(
                f"no time zone {arguments.timezone!r}: give an IANA name such as Europe/Berlin or Asia/Tokyo"
            ) from error
        return f"{now.astimezone(zone):%A, %Y-%m-%d %H:%M:%S %Z (UTC%z)}"

    return Tool(
        "current_time",
        "Tell the current date and time, in a time zone if one is given.",
        TimeArguments,
        run,
        repeatable=True,
        brings=None,
        group="facts",
    )


def calculate() -> Tool:
    """Return the tool that works out an arithmetic expression."""

    async def run(arguments: CalculateArguments, context: ToolContext) -> str:
        return evaluate(arguments.expression)

    return Tool(
        "calculate",
        "Work out an arithmetic expression exactly.",
        CalculateArguments,
        run,
        repeatable=True,
        brings=None,
        group="facts",
    )


# Arithmetic ---------------------------------------------------------------------------------------

_MAX_CHARS = 1_000
_MAX_BITS = 4_096
_MAX_DIGITS_SHOWN = 400

Number = int | float
_BINARY: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": abs,
    "round": lambda number, digits=None: _rounded(number, digits),
    "min": min,
    "max": max,
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "degrees": math.degrees,
    "radians": math.radians,
    "hypot": math.hypot,
    "gcd": math.gcd,
    "lcm": math.lcm,
}
_CONSTANTS = {"pi": math.pi, "e": math.e, "tau": math.tau}


def evaluate(expression: str) -> str:
    """Return the value of `expression` as text. It may have numbers, + - * / // % **, brackets and the usual
    functions; `^` means power.

    Nothing else is evaluated, and no number may exceed 4,096 bits, so that no expression can do harm or take
    long.

    Raises:
        ToolError: part of it is not arithmetic, or it has no value.
    """
    if len(expression) > _MAX_CHARS:
        raise ToolError(f"expression of {len(expression)} characters: at most {_MAX_CHARS} are allowed")
    source = expression.strip().replace("^", "**").replace("×", "*").replace("÷", "/").replace("−", "-")
    try:
        with warnings.catch_warnings():
            # The parser warns programmers, for instance of a number that is called.
            warnings.simplefilter("ignore")
            tree = ast.parse(source, mode="eval")
        value = _value(tree.body)
    except SyntaxError as error:
        raise ToolError(f"{expression!r} is not an arithmetic expression") from error
    except ZeroDivisionError as error:
        raise ToolError(f"{expression!r} divides by zero") from error
    except (OverflowError, RecursionError, MemoryError) as error:
        raise ToolError(f"{expression!r} is too large to work out") from error
    except (ValueError, TypeError) as error:
        raise ToolError(f"{expression!r} has no value: {error}") from error
    return _shown(value)


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=bool()):
            raise ToolError(f"{node.value!r} is not a number")
        case ast.Constant(value=int() | float() as number):
            return _bounded(number)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _bounded(_power(_value(left), _value(right)))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return _bounded(_BINARY[type(sign)](_value(left), _value(right)))
        case ast.Call(func=ast.Name(id="factorial"), args=[argument], keywords=[]):
            return _factorial(_value(argument))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*(_value(argument) for argument in arguments)))
        case _:
            raise ToolError(
                f"{ast.unparse(node)!r} is not arithmetic: numbers, + - * / // % **, brackets, "
                f"{', '.join(_FUNCTIONS)}, pi and e are"
            )


def _power(base: Number, exponent: Number) -> Number:
    if (
        isinstance(base, int)
        and isinstance(exponent, int)
        and abs(exponent) * (abs(base).bit_length() - 1) > _MAX_BITS
    ):
        raise OverflowError
    result = base**exponent
    if isinstance(result, complex):
        raise ValueError("a root of a negative number")
    return result


def _rounded(number: Number, digits: Number | None) -> Number:
    if digits is None:
        return round(number)
    if not isinstance(digits, int) or not -400 <= digits <= 400:
        raise ToolError(f"round to {digits} digits: whole numbers from -400 to 400 are allowed")
    return round(number, digits)


def _factorial(number: Number) -> int:
    if not isinstance(number, int) or not 0 <= number <= 450:
        raise ToolError(f"factorial of {number}: whole numbers from 0 to 450 are allowed")
    return math.factorial(number)


def _bounded(number: Number) -> Number:
    if isinstance(number, int) and number.bit_length() > _MAX_BITS:
        raise OverflowError
    return number


def _shown(value: Number) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            raise ToolError("the expression has no value")
        if math.isinf(value):
            raise ToolError("the result is too large to work out")
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        return f"{value:.15g}"
    text = str(value)
    return text if len(text) <= _MAX_DIGITS_SHOWN else f"{text[:_MAX_DIGITS_SHOWN]}… ({len(text)} digits)"
