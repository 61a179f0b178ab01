import importlib.util
from pathlib import Path

import pytest

from nanobot.cli import doctor_local
from nanobot.cli.doctor_local import examine, lacks_avx2
from nanobot.cli.finding import Finding
from tests.unit.cli.test_model import put


def found(name: str, directory: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine("model", name, "", directory)}


def test_weights_that_are_missing_warn_with_their_size_and_the_command_that_brings_them(tmp_path: Path) -> None:
    model = found("local:small", tmp_path)["model"]
    assert model.status == "warn"
    assert "491.4 MB" in model.remedy and "nanobot model pull local:small" in model.remedy


def test_weights_that_are_here_are_ok_and_a_file_that_is_none_fails(tmp_path: Path) -> None:
    path = put("local:tiny", tmp_path)
    assert (found("local:tiny", tmp_path / "models")["model"].status, str(path)) == ("ok", str(path))
    assert str(path) in found("local:tiny", tmp_path / "models")["model"].text
    assert found(f"local:{tmp_path}/nothing.gguf", tmp_path)["model"].status == "fail"


def test_without_the_engine_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    engine = found("local", tmp_path)["engine"]
    assert engine.status == "fail" and "pip install" in engine.remedy


@pytest.mark.parametrize("lack", ["lacks_libgomp", "lacks_avx2"])
def test_what_the_engine_lacks_of_the_machine_fails_with_a_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lack: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor_local, lack, lambda *_: True)
    engine = found("local", tmp_path)["engine"]
    assert engine.status == "fail" and engine.remedy


def test_avx2_is_read_from_the_flags_of_every_processor(tmp_path: Path) -> None:
    cpu = tmp_path / "cpuinfo"
    cpu.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx avx2\nprocessor\t: 1\nflags\t\t: fpu sse2 avx avx2\n")
    assert not lacks_avx2("x86_64", cpu)
    cpu.write_text("processor\t: 0\nflags\t\t: fpu sse2 avx avx2x\n")
    assert lacks_avx2("x86_64", cpu)
    assert not lacks_avx2("aarch64", cpu) and not lacks_avx2("x86_64", tmp_path / "none")
