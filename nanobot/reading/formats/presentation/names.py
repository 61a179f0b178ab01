"""Names of PresentationML, and what placeholders are called."""

from nanobot.reading.formats.xml import Element

P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"


def placeholder(shape: Element) -> Element | None:
    """Return what says that the shape is a placeholder of the layout, None if it is not one."""
    for child in shape:
        if str(child.tag).startswith(P + "nv"):
            return child.find(f"{P}nvPr/{P}ph")
    return None


def kind(placeholder_: Element | None) -> str:
    """Return the type of the placeholder: `title`, `body`, …; empty if there is none."""
    return "" if placeholder_ is None else str(placeholder_.get("type", "obj"))


def properties(shape: Element) -> Element | None:
    """Return the name and the description of the shape, `cNvPr`."""
    return next((each for child in shape for each in child.iterchildren(f"{P}cNvPr")), None)
