"""What the engine of local models needs of the machine."""

from pathlib import Path

from nanobot.models.local.diagnosis import diagnose, engine, processor, runtime


def test_each_thing_that_the_engine_needs_is_looked_at(tmp_path: Path) -> None:
    assert [finding.subject for finding in diagnose(tmp_path)] == ["engine", "processor", "openmp"]


def test_what_is_missing_is_named_with_its_remedy(tmp_path: Path) -> None:
    findings = (
        engine(lambda name: None),
        processor("x86_64", lambda: False),
        runtime(tmp_path, lambda path: True),
    )
    assert not any(finding.ok for finding in findings)
    for finding, word in zip(findings, ("nanobot-server[local]", "AVX2", "libgomp1"), strict=True):
        assert word in finding.remedy


def test_what_other_machines_lack_by_design_is_no_fault(tmp_path: Path) -> None:
    assert processor("aarch64").ok
    assert processor("x86_64", lambda: None).ok
    assert runtime(tmp_path, lambda path: False).ok
