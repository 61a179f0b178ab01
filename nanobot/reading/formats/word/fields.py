"""Fields: their results are shown, their instructions are not."""

import re
from dataclasses import dataclass

from nanobot.reading.formats.word.names import W, switch, value, whole
from nanobot.reading.formats.xml import Element

_ADDRESS = re.compile(r'^\s*HYPERLINK\s+(?:"([^"]*)"|([^\s\\]\S*))', re.IGNORECASE)


@dataclass
class _Field:
    """A field that has begun. `mark`: where its result begins in the line."""

    instruction: str = ""
    has_result: bool = False
    mark: tuple[object, int] | None = None


class Fields:
    """The fields that are open where the text is read. `is_whole`: all of the part's fields end."""

    def __init__(self, root: Element | None) -> None:
        kinds = [] if root is None else [each.get(f"{W}fldCharType") for each in root.iter(f"{W}fldChar")]
        self._is_whole = kinds.count("begin") == kinds.count("end")
        self._open: list[_Field] = []
        self._without_result = 0

    @property
    def is_hidden(self) -> bool:
        """Whether text here is a part of an instruction, as the results of fields in it are."""
        is_inner = self._open and self._open[-1].has_result
        return self._is_whole and self._without_result > (0 if is_inner else 1)

    def begin(self) -> None:
        self._open.append(_Field())
        self._without_result += 1

    def instruct(self, text: str) -> None:
        if self._open and not self._open[-1].has_result:
            self._open[-1].instruction += text

    def separate(self, line: object, place: int) -> None:
        """Begin the result, at a place in a line."""
        if self._open and not self._open[-1].has_result:
            self._without_result -= 1
            self._open[-1].has_result = True
            self._open[-1].mark = (line, place)

    def end(self, line: object) -> tuple[str, int] | None:
        """End the field. Return the address of a link and where its text begins, None if it is not one."""
        if not self._open:
            return None
        ended = self._open.pop()
        self._without_result -= not ended.has_result
        match = _ADDRESS.match(ended.instruction)
        if match is None or ended.mark is None or ended.mark[0] is not line:
            return None
        return match[1] or match[2] or "", ended.mark[1]


def form_value(element: Element) -> str:
    """Return what is ticked or chosen in a form field, where that is no text of the document."""
    form = element.find(f"{W}ffData")
    if form is None:
        return ""
    box, choices = form.find(f"{W}checkBox"), form.find(f"{W}ddList")
    if box is not None:
        checked = switch(box, "checked")
        return "[x]" if (switch(box, "default") if checked is None else checked) else "[ ]"
    if choices is not None:
        entries = [entry.get(f"{W}val", "") for entry in choices.findall(f"{W}listEntry")]
        chosen = whole(value(choices, "result"), whole(value(choices, "default")))
        return entries[chosen] if 0 <= chosen < len(entries) else ""
    return ""
