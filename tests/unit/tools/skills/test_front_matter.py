"""Plain front matter is read as YAML would be, without loading what reads YAML."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import nanobot.tools.skills
from nanobot.tools.skills import front_matter, yaml_fields

OWN = Path(nanobot.tools.skills.__file__).with_name("own")
ENDS = st.sampled_from(["", "\n", "\n\n", "\r\n"])
NAMES = st.sampled_from(["name", "description", "null", "true", "y", "no", "allowed-tools", "Name", "x-"])
PLAIN = st.text("abXY09 .,;()/'-", max_size=12)
VALUES = PLAIN | st.text("ab 0:#\"\\'\t\r>|&*!%@`[]{}?=<~é\u2028-.", max_size=8)


@given(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=4), ENDS)
def test_whatever_is_read_as_plain_is_what_yaml_says(lines: list[tuple[str, str]], end: str) -> None:
    text = "\n".join(f"{name}: {value}" for name, value in lines) + end
    plain = front_matter.plain_fields(text)
    assert plain is None or plain == yaml_fields.read(text)


def test_what_is_not_plain_or_too_long_is_left_to_yaml() -> None:
    for text in (
        "",
        "name: a\nname: b",
        "name: 'a'",
        "name: a: b",
        "name: a #b",
        "name:\n  a",
        "description: |\n  a",
        "name: a\n  b",
        "description: " + "a" * front_matter.MOST_BYTES,
    ):
        assert front_matter.plain_fields(text) is None


def test_the_skills_that_come_along_are_read_without_yaml() -> None:
    code = (
        "import sys; from pathlib import Path; from nanobot.tools.skills.skill_file import read_skill_file\n"
        "for path in Path(sys.argv[1]).glob('*/SKILL.md'):\n"
        "    file = read_skill_file(path.read_bytes(), path.parent.name)\n"
        "    print(file.name, len(file.errors), 'yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(OWN)], capture_output=True, text=True, check=True)
    lines = sorted(done.stdout.splitlines())
    assert lines == [f"{path.name} 0 False" for path in sorted(OWN.iterdir())] and lines
