from pathlib import Path

from nanobot.cli.check_result import CheckResult
from nanobot.cli.doctor_local import examine
from tests.unit.cli.test_model import put


def found(name: str, directory: Path) -> dict[str, CheckResult]:
    return {finding.check: finding for finding in examine("model", name, "", directory)}


def test_weights_that_are_missing_warn_with_their_size_and_the_command_that_brings_them(
    tmp_path: Path,
) -> None:
    model = found("local:small", tmp_path)["model"]
    assert model.status == "warn"
    assert "491.4 MB" in model.remedy and "nanobot model pull local:small" in model.remedy


def test_weights_that_are_here_are_ok_and_a_file_that_is_none_fails(tmp_path: Path) -> None:
    path = put("local:tiny", tmp_path)
    assert (found("local:tiny", tmp_path / "models")["model"].status, str(path)) == ("ok", str(path))
    assert str(path) in found("local:tiny", tmp_path / "models")["model"].text
    assert found(f"local:{tmp_path}/nothing.gguf", tmp_path)["model"].status == "fail"


def test_what_the_engine_needs_of_this_machine_is_looked_at(tmp_path: Path) -> None:
    looked_at = found("local", tmp_path)
    assert {"engine", "processor", "openmp"} <= looked_at.keys()
    assert all(finding.remedy for finding in looked_at.values() if finding.status != "ok")
