"""Names of WordprocessingML, and how its properties are read."""

from nanobot.reading.formats.xml import Element

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_OFF = frozenset({"0", "false", "off"})


def value(element: Element | None, name: str) -> str | None:
    """Return the attribute `w:val` of the child `name`, None where there is no such child."""
    child = None if element is None else element.find(f"{W}{name}")
    return None if child is None else child.get(f"{W}val", "")


def switch(element: Element | None, name: str) -> bool | None:
    """Return whether the property `name` is on, None where nothing is said of it."""
    said = value(element, name)
    return None if said is None else said.lower() not in _OFF


def whole(text: str | None, usual: int = 0) -> int:
    """Return a number as a file has it; `usual` for anything else."""
    try:
        return int(text or "")
    except ValueError:
        return usual
