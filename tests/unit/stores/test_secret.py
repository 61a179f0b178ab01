"""The secret of a data directory is made once, and readable for its user alone."""

import os
import stat
from pathlib import Path

import pytest

from nanobot.core.errors import StoreError
from nanobot.stores.secret import FILE_NAME, load_secret


def test_it_is_made_once_and_differs_between_directories(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    secret = load_secret(one)
    assert len(secret) == 32
    assert load_secret(one) == secret != load_secret(other)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    load_secret(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize("rest", [b"", b"short"])
def test_what_a_crash_left_of_it_is_replaced(tmp_path: Path, rest: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(rest)
    (tmp_path / f"{FILE_NAME}.part").write_bytes(b"left behind")
    secret = load_secret(tmp_path)
    assert len(secret) == 32
    assert load_secret(tmp_path) == secret


def test_where_it_can_be_neither_read_nor_written_the_error_names_it(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(StoreError, match=FILE_NAME):
        load_secret(tmp_path)
