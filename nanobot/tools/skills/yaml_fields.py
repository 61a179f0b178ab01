"""The fields of any front matter: YAML, of which every value is text, a list or a table."""

from typing import Any

import yaml

from nanobot.tools.skills.front_matter import MOST_BYTES, BadFrontMatter

_DEEPEST = 8


class _Loader(yaml.BaseLoader):
    """Makes nothing but texts, lists and tables. Aliases are refused, which can stand for very much more than
    is written, and so are deep nesting and names that stand twice in a table.
    """

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise self._refused("aliases (*name) are not allowed")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refused(f"more than {_DEEPEST} levels are nested")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_scalar(self, node: Any) -> Any:
        text = super().construct_scalar(node)
        if any("\ud800" <= character <= "\udfff" for character in text):
            # An escape wrote half of one; nothing that has it in it could be sent to a model.
            problem = "a text has half a character in it"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return text

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names: set[str] = set()
        for name, _ in node.value:
            if not isinstance(name, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a name is no text", name.start_mark)
            if name.value in names:
                problem = f"{name.value[:80]!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, name.start_mark)
            names.add(name.value)
        return super().construct_mapping(node, deep)

    def _refused(self, problem: str) -> Exception:
        place = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        return yaml.composer.ComposerError(None, None, problem, place)


def read(text: str) -> dict[str, Any]:
    """Return the fields of a front matter.

    Raises:
        BadFrontMatter: it is no table in YAML, or uses what is refused here.
    """
    size_bytes = len(text.encode())
    if size_bytes > MOST_BYTES:
        raise BadFrontMatter(f"its front matter has {size_bytes} bytes: at most {MOST_BYTES} are read")
    try:
        fields = yaml.load(text, Loader=_Loader)  # noqa: S506 - it makes texts, lists and tables only
    except yaml.YAMLError as error:
        raise BadFrontMatter(f"its front matter is not valid YAML{_described(error)}") from None
    except OverflowError:
        raise BadFrontMatter("its front matter has an escape that stands for no character") from None
    if not isinstance(fields, dict):
        raise BadFrontMatter("its front matter is no table of fields: write name: … and description: …")
    return fields


def _described(error: yaml.YAMLError) -> str:
    """Return where the error is, on which line of the file, and what it is."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f": {error}".splitlines()[0][:200]
    # The first line of the file is the one that opens the front matter.
    line = f" (line {error.problem_mark.line + 2})" if error.problem_mark is not None else ""
    advice = ""
    if error.problem is not None and "mapping values are not allowed" in error.problem:
        advice = "; put a text that has a colon in it in quotes"
    return f"{line}: {error.problem}{advice}"
