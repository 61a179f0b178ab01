"""From JSON schemas to GBNF, the grammar in which llama.cpp makes a model write: instances of the schema,
without white space.

Covers what the arguments of tools need: objects, arrays, strings, numbers, enumerations, alternatives. Other
constraints (lengths, patterns, references) are not enforced; the tool checks its arguments in any case.
Source: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

from collections.abc import Mapping, Sequence

import msgspec

_DEEPEST = 4
_MOST_MEMBERS = 64
_PRIMITIVES = {
    "string": r'"\"" char* "\""',
    "integer": r'"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": r'"-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,15})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
}
_SMALL_LETTERS = "abcdefghijklmnopqrstuvwxyzßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ"
_CHAR = r'[^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})'


def literal(text: str) -> str:
    """Return the terminal that stands for exactly `text`."""
    escaped = (
        text.replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\t", "\\t")
    )
    return f'"{escaped}"'


def unlike(beginnings: Sequence[str], excluded: str = "", never: str = "") -> str:
    """Return the body of a rule for text that begins with none of `beginnings`, nor with a character of the
    class `excluded`, and goes on as the rule `rest` says. `never`: characters that do not belong there.

    A beginning that ends with a space stands for a word alone: only letters may go on with it, as in
    `The ` and `Then`. A model writes `The_sea` otherwise.
    """
    first = dict.fromkeys(sorted(beginning[0] for beginning in beginnings))
    others = f"^\\x00{excluded}{never}{''.join(map(_in_class, first))}"
    if " " in beginnings:
        others = "".join(letter for letter in _SMALL_LETTERS if letter not in first)
    ways = [f"[{others}] rest"]
    for character in first:
        tails = [beginning[1:] for beginning in beginnings if beginning[0] == character]
        if all(tails):
            ways.append(f"{literal(character)} ({unlike(tails, never=never)})?")
    return " | ".join(ways)


def without_words(words: Sequence[str]) -> str:
    """Return the rules `rest` and `word` of text in which no word, behind a space, begins with one of
    `words`; one of these that ends with a space stands for a word alone.
    """
    return f'rest ::= [^\\x00 ]* (" " word)?\nword ::= ({_other_than(words)})?'


def _other_than(words: Sequence[str]) -> str:
    children = dict.fromkeys(sorted(word[0] for word in words))
    ways = [f"[^\\x00 {''.join(map(_in_class, (each for each in children if each != ' ')))}] rest"]
    if " " not in children:
        ways.append('" " word')
    for character in children:
        tails = [word[1:] for word in words if word[0] == character]
        if all(tails):
            ways.append(f"{literal(character)} ({_other_than(tails)})?")
    return " | ".join(ways)


def _in_class(character: str) -> str:
    is_plain = character.isalnum() or not character.isascii()
    return character if is_plain else f"\\x{ord(character):02X}"


class Rules:
    """The named rules of one grammar. Equal bodies share a name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, body: str, name: str | None = None) -> str:
        """Return the name of the rule with this body, and add the rule where it is new."""
        if body in self._names:
            return self._names[body]
        name = name or f"r{len(self._names)}"
        self._names[body] = name
        return name

    def text(self, root: str) -> str:
        """Return the whole grammar; `root` is the body that everything starts from."""
        return "\n".join([f"root ::= {root}", *(f"{name} ::= {body}" for body, name in self._names.items())])

    def value(self, schema: Mapping[str, object], depth: int = 0) -> str:
        """Return the name of the rule for the instances of `schema`.

        Where the schema is not understood, or nested too deeply, any JSON value is an instance.
        """
        options = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if isinstance(options, list) and options:
            return self.add(" | ".join(literal(msgspec.json.encode(option).decode()) for option in options))
        if depth >= _DEEPEST:
            return self._any(0)
        for word in ("anyOf", "oneOf"):
            branches = _schemas(schema.get(word))
            if branches:
                return self.add(" | ".join(self.value(branch, depth + 1) for branch in branches))
        kind = schema.get("type")
        if isinstance(kind, list):
            # Each once: a client's schema that names a kind a hundred times on each of its levels would
            # otherwise take a million steps.
            kinds = dict.fromkeys(one for one in kind if isinstance(one, str))
            return (
                self.add(" | ".join(self.value({**schema, "type": one}, depth) for one in kinds))
                if kinds
                else self._any(depth)
            )
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            items = schema.get("items")
            item = self.value(items, depth + 1) if isinstance(items, Mapping) else self._any(depth + 1)
            return self.add(f'"[" ({item} ("," {item})*)? "]"')
        return self._primitive(kind) if isinstance(kind, str) and kind in _PRIMITIVES else self._any(depth)

    def _primitive(self, kind: str) -> str:
        if kind == "string":
            self.add(_CHAR, "char")
        return self.add(_PRIMITIVES[kind], kind)

    def _any(self, depth: int) -> str:
        """Return the rule for any JSON value, nested as far as `depth` leaves.

        GBNF may recurse, but a small model would then never stop.
        """
        scalar = " | ".join(self._primitive(kind) for kind in ("string", "number", "boolean", "null"))
        value = self.add(scalar, "scalar")
        for _ in range(max(0, 2 - depth)):
            member = f'{self._primitive("string")} ":" {value}'
            value = self.add(
                f'{value} | "[" ({value} ("," {value})*)? "]" | "{{" ({member} ("," {member})*)? "}}"'
            )
        return value

    def _object(self, schema: Mapping[str, object], depth: int) -> str:
        properties = schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            return self.add('"{}"')
        # The rule's size is the square of the number of optional members.
        if len(properties) > _MOST_MEMBERS:
            return self._any(0)
        names = schema.get("required")
        required = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
        always: list[str] = []
        sometimes: list[str] = []
        for name, value in properties.items():
            inner = value if isinstance(value, Mapping) else {}
            member = f"{literal(msgspec.json.encode(name).decode() + ':')} {self.value(inner, depth + 1)}"
            # A small model leaves out what it may: where null means the same, it has to decide.
            (always if name in required or _takes_null(inner) else sometimes).append(member)
        return self.add(f'"{{" {self._members(always, sometimes)} "}}"')

    def _members(self, always: Sequence[str], sometimes: Sequence[str]) -> str:
        if always:
            return ' "," '.join(always) + "".join(f' ("," {member})?' for member in sometimes)
        chains = [
            " ".join([first, *(f'("," {later})?' for later in sometimes[at + 1 :])])
            for at, first in enumerate(sometimes)
        ]
        return f"({' | '.join(chains)})?"


def _schemas(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _takes_null(schema: Mapping[str, object]) -> bool:
    kind = schema.get("type")
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or any(map(_takes_null, _schemas(schema.get("anyOf"))))
    )
