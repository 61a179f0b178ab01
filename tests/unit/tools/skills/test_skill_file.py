"""A `SKILL.md` is read as widely as its meaning is sure: what keeps it from being used is an error, what
departs from the format or is odd a warning.
"""

import pytest

from nanobot.tools.skills.skill_file import SkillFile, read_skill_file

BASE = "name: offers\ndescription: Writes offers."


def read(head: str, body: str = "Do it.", folder: str = "offers") -> SkillFile:
    return read_skill_file(f"---\n{head}\n---\n{body}\n".encode(), folder)


def warnings(file: SkillFile) -> list[str]:
    return [finding.text for finding in file.findings if finding.level == "warning"]


def test_what_it_says_is_read_with_nothing_to_complain_of() -> None:
    file = read(
        'name: offers\ndescription: "Writes offers: short ones."\nlicense: MIT\n'
        "compatibility: any\nmetadata:\n  version: 1.0"
    )
    assert (file.name, file.description, file.license) == ("offers", "Writes offers: short ones.", "MIT")
    assert (file.body, file.compatibility, file.findings) == ("Do it.", "any", ())


@pytest.mark.parametrize("written", ["Read Bash(git:*)", "[Read, 'Bash(git:*)']"])
def test_tools_that_it_wishes_are_noted_and_allow_nothing(written: str) -> None:
    file = read(f"{BASE}\nallowed-tools: {written}")
    assert file.allowed_tools == ("Read", "Bash(git:*)")
    assert not file.errors and "allows nothing" in warnings(file)[0]


@pytest.mark.parametrize(
    "description",
    ["|\n  Writes\n  offers.", ">-\n  Writes\n  offers.", "'Writes\n  offers.'", "Writes\n  offers."],
)
def test_a_description_may_be_written_in_each_way_of_yaml(description: str) -> None:
    assert read(f"name: offers\ndescription: {description}").description == "Writes offers."


def test_values_that_look_like_others_are_texts() -> None:
    file = read('name: "2024"\ndescription: yes', folder="2024")
    assert (file.name, file.description, file.errors) == ("2024", "yes", ())


def test_the_ends_of_lines_and_a_byte_order_mark_do_not_matter() -> None:
    file = read_skill_file(b"\xef\xbb\xbf---\r\nname: a\r\ndescription: B.\r\n---\r\nText\r\n", "a")
    assert (file.errors, file.name, file.body) == ((), "a", "Text")


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("name: offers", "description is missing"),
        ("name: offers\ndescription: '  '", "description is missing"),
        ("name: [offers]\ndescription: x", "name is no text"),
        ("name: offers\ndescription: {a: b}", "description is no text"),
        ("- a\n- b", "no table of fields"),
        ("", "no table of fields"),
        (
            "name: offers\ndescription: x\nmetadata:\n  a: b: c",
            "(line 5): mapping values are not allowed here; put",
        ),
        (f"{BASE}\nname: offers", "(line 4): 'name' stands twice"),
        ("name: &a offers\ndescription: *a", "aliases (*name) are not allowed"),
        (f"{BASE}\nmetadata: {'[' * 9}{']' * 9}", "more than 8 levels"),
        (f"{BASE}\n? [a]\n: b", "a name is no text"),
        (f"{BASE}\nx: {'y' * 9000}", "at most 8192 are read"),
        (f"{BASE}\nx: \x00", "not valid YAML"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_says_what(head: str, why: str) -> None:
    (error, *_) = read(head).errors
    assert why in error, error


def test_objects_are_never_made() -> None:
    file = read(f"{BASE}\nlicense: !!python/object/apply:os.system ['exit 1']")
    assert file.errors == ("license is no text",)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"# Offers", "does not begin with front matter"),
        (b"---\nname: a", "has no end"),
        (b"---\nname: \xff\n---\n", "not UTF-8"),
        (b"---\nname: a\ndescription: b\n---\n" + b"x" * 200_000, "at most 200000 are read"),
    ],
)
def test_a_file_that_is_no_skill_says_why(content: bytes, why: str) -> None:
    (error,) = read_skill_file(content, "a").errors
    assert why in error


@pytest.mark.parametrize(
    ("head", "body", "why"),
    [
        (f"{BASE}\nuser-invocable: true", "x", "'user-invocable' is not of the format"),
        (f"{BASE}\nmetadata: {{a: {{b: c}}}}", "x", "metadata has a value that is no text"),
        (BASE, "", "no instructions"),
        (BASE, "x\n" * 600, "600 lines"),
    ],
)
def test_what_is_odd_is_a_warning_alone(head: str, body: str, why: str) -> None:
    file = read(head, body)
    assert not file.errors
    assert why in warnings(file)[0]


def test_names_may_have_letters_of_any_script_that_are_not_capitals() -> None:
    assert not read("name: 报价-1\ndescription: x", folder="报价-1").errors
    assert read("name: Ö\ndescription: x", folder="Ö").errors


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ("description: x", "name is missing"),
        ("name: Offers\ndescription: x", "only lower-case letters"),
        ("name: of_fers\ndescription: x", "only lower-case letters"),
        ("name: ../x\ndescription: x", "only lower-case letters"),
        ("name: -offers\ndescription: x", "hyphens stand alone"),
        ("name: others\ndescription: x", "differs from the folder's"),
        (f"name: {'a' * 65}\ndescription: x", "65 characters: at most 64"),
        (f"{BASE}\ncompatibility: {'x' * 501}", "501 characters: at most 500"),
        (f"{BASE}\nmetadata: x", "metadata is no table"),
    ],
)
def test_what_departs_from_the_format_is_used_under_the_name_of_its_folder_with_a_warning(
    head: str, why: str
) -> None:
    file = read(head)
    assert (file.errors, file.name, file.fits) == ((), "offers", False)
    assert why in warnings(file)[0]


def test_of_a_description_that_is_too_long_the_beginning_is_used() -> None:
    file = read(f"name: offers\ndescription: {'x' * 1025}")
    assert (file.errors, file.fits, file.description) == ((), False, f"{'x' * 1023}…")
    assert "1025 characters" in warnings(file)[0]


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("Use when: asked", "Use when: asked"),
        ('Say "a": then b # c', 'Say "a": then b # c'),
        ("Use when: asked\n  for: an offer", "Use when: asked for: an offer"),
    ],
)
def test_a_text_with_a_colon_that_stands_in_no_quotes_is_read_as_it_was_meant(
    written: str, read_as: str
) -> None:
    file = read(f"name: offers\ndescription: {written}\nlicense: MIT")
    assert (file.errors, file.description, file.license, file.fits) == ((), read_as, "MIT", False)
    assert "colon" in warnings(file)[0]


def test_a_folder_whose_name_is_none_is_an_error_that_says_how_to_call_it() -> None:
    (error,) = read(BASE, folder="My Docker_Hub").errors
    assert "call the folder my-docker-hub" in error
    assert read(BASE, folder="__").errors


@pytest.mark.parametrize("escape", [r"\UFFFFFFFF", r"\ud800"])
def test_an_escape_that_is_no_character_is_refused(escape: str) -> None:
    content = f'---\nname: birds\ndescription: "Counts {escape}"\n---\nCount.'
    file = read_skill_file(content.encode(), "birds")
    assert file.errors and "SKILL.md" in file.errors[0]


def test_what_people_do_not_see_of_a_description_models_do_not_read() -> None:
    hidden = "".join(chr(0xE0000 + code) for code in b"obey")
    file = read_skill_file(
        f"---\nname: birds\ndescription: Counts{hidden} birds.\n---\nCount.".encode(), "birds"
    )
    assert not file.errors and file.description == "Counts birds."
