"""The profile of macOS says nothing but what it is to say, whatever paths it is about."""

import os
import re
import sys
from pathlib import Path

import pytest

from nanobot.tools.sandbox.seatbelt import SANDBOX_EXEC, SYSTEM, confined, profile, true_path

ODD = (
    '/data/a"b',
    "/data/a)(allow default)",
    '/data/x")) (allow file-read* (subpath "/',
    "/data/a\n(allow default)",
    "/data/a\\",
    "/data/; (",
    "/data/WRITABLE_0=/",
    "/data/é ∞",
    "-D",
)
COUNTS = {"READABLE": 2, "WRITABLE": 2, "ABOVE": 3}


def rules(text: str) -> list[str]:
    """Return the rules of a profile; fails where a bracket or a quote has no other."""
    found, depth, begin, is_quoted = [], 0, 0, False
    for at, character in enumerate(text):
        is_quoted ^= character == '"'
        if is_quoted or character not in "()":
            continue
        begin = at if depth == 0 else begin
        depth += 1 if character == "(" else -1
        assert depth >= 0
        if depth == 0:
            found.append(text[begin : at + 1])
    assert depth == 0 and not is_quoted
    return found


def about(operation: str) -> list[str]:
    return [rule for rule in rules(profile(COUNTS)) if operation in rule.partition('"')[0]]


def test_what_is_not_named_is_denied_and_last_words_are_denials() -> None:
    found = rules(profile(COUNTS))
    assert found[:2] == ["(version 1)", "(deny default)"]
    assert all(rule.startswith("(allow ") for rule in found[2:-3])
    assert [rule.split()[:2] for rule in found[-3:]] == [
        ["(deny", "file-ioctl)"],
        ["(deny", "file-read*"],
        ["(deny", "network*)"],
    ]


def test_no_rule_allows_everything() -> None:
    """A rule without a filter is about all there is."""
    bare = [rule for rule in rules(profile(COUNTS)) if rule.startswith("(allow") and rule.count("(") == 1]
    assert bare == ["(allow process-fork)"]
    assert not re.search(r"allow (default|network|mach-lookup\)|file-\S+\)|sysctl-read\))", profile(COUNTS))
    for counts in ({**COUNTS, "WRITABLE": 0}, {**COUNTS, "ABOVE": 0}):
        with pytest.raises(ValueError, match="may write"):
            profile(counts)


def test_only_what_is_writable_is_written() -> None:
    writes = [rule for rule in about("file-write") if rule.startswith("(allow")]
    assert len(writes) == 2
    (devices,) = (rule for rule in writes if "file-write-data" in rule)
    assert "/dev/null" in devices and "param" not in devices
    (places,) = (rule for rule in writes if "file-write*" in rule)
    assert re.findall(r'"(.*?)"', places) == ["WRITABLE_0", "WRITABLE_1"]


def test_signals_and_looks_at_processes_stay_in_the_sandbox() -> None:
    assert about("signal") == ["(allow signal (target same-sandbox))"]
    assert about("process-info") == ["(allow process-info* (target same-sandbox))"]


def test_no_service_starts_programs_or_tells_secrets() -> None:
    (services,) = about("mach-lookup")
    names = re.findall(r'"(.*?)"', services)
    assert names and all(name.startswith("com.apple.system.opendirectoryd.") for name in names)
    (told,) = about("sysctl-read")
    assert "proc.all" not in told and "procargs" not in told and '"kern.proc' not in told


def test_of_the_system_nothing_is_read_that_people_or_servers_keep_there() -> None:
    kept = (
        *(
            "/Users",
            "/Users/ann/.ssh/id_ed25519",
            "/private/tmp/x",
            "/private/var/folders/ab/x",
            "/Volumes/x",
        ),
        *("/System/Volumes/Data/Users/ann", "/Library/Keychains/System.keychain", "/Library/Preferences/x"),
        *("/opt/homebrew/var/postgresql", "/usr/local/var/db", "/opt/homebrew/etc/nginx", "/private/etc/ssh"),
        *("/private/etc/master.passwd", "/private/var/db/dslocal", "/private/var/root"),
    )
    for path in kept:
        assert not [own for own in SYSTEM if Path(path).is_relative_to(own)], path


@pytest.mark.parametrize("odd", ODD)
def test_a_path_never_becomes_a_part_of_the_profile(odd: str) -> None:
    arguments = confined(SANDBOX_EXEC, [odd, "/r"], [odd, "/w"], ["/bin/sh", odd])
    text = arguments[arguments.index("-p") + 1]
    above = sum(each.startswith("ABOVE_") for each in arguments)
    assert text == profile({"READABLE": 2, "WRITABLE": 2, "ABOVE": above})
    assert f"READABLE_0={odd}" in arguments and f"WRITABLE_0={odd}" in arguments
    # What is run comes behind what ends the options.
    assert arguments[-3:] == ["--", "/bin/sh", odd]


def test_each_parameter_has_a_value() -> None:
    arguments = confined(SANDBOX_EXEC, ["/a/b", "/a/b", "/a/c"], ["/d/e"], ["/bin/ls"])
    named = set(re.findall(r'\(param "(\w+)"\)', arguments[2]))
    given = {each.partition("=")[0]: each.partition("=")[2] for each in arguments if "=" in each}
    assert named == set(given)
    assert [given[name] for name in ("READABLE_0", "READABLE_1", "WRITABLE_0")] == ["/a/b", "/a/c", "/d/e"]
    assert {"/a", "/d"} <= {path for name, path in given.items() if name.startswith("ABOVE")}


def test_the_program_of_the_system_is_called_and_not_one_that_the_path_finds() -> None:
    assert Path(SANDBOX_EXEC) == Path("/usr/bin/sandbox-exec")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_paths_are_given_as_the_system_knows_them(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert true_path(str(tmp_path / "link")) == os.path.realpath(tmp_path / "real")
