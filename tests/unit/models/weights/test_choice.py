"""Which weights suit a machine, by what its system and its container leave."""

from pathlib import Path

import pytest

from nanobot.models.weights.choice import fit, in_registry, needed_bytes, recommended
from nanobot.models.weights.installed import KNOWN, format_of, parse
from nanobot.models.weights.machine import Machine, available_cores, this_machine, whole_cores

GB = 1_000_000_000
BY_NAME = {weights.name: weights for weights in KNOWN}


@pytest.mark.parametrize(
    ("free_gb", "cores", "name"),
    [
        (0.5, 2, None),
        (1.0, 2, "local:tiny"),
        (1.5, 2, "local:small"),
        (4.0, 8, "local"),
        (24.0, 2, "local"),
        (8.0, 4, "local:good"),
        (64.0, 32, "local:good"),
    ],
)
def test_the_best_that_the_machine_has_room_and_cores_for(
    free_gb: float, cores: float, name: str | None
) -> None:
    best = recommended(Machine(int(free_gb * GB), cores))
    assert (best.name if best is not None else None) == name


def test_what_does_not_fit_and_what_would_be_slow_is_told() -> None:
    good = BY_NAME["local:good"]
    assert fit(good, Machine(needed_bytes(good) - 1, 8)) == "no"
    assert fit(good, Machine(16 * GB, 2)) == "slow"
    assert fit(good, Machine(16 * GB, 4)) == "yes"
    assert fit(BY_NAME["local"], Machine(16 * GB, 2)) == "yes"
    assert fit(BY_NAME["local"], Machine(16 * GB, 0.5)) == "slow"


def test_without_the_hub_there_is_always_one_of_the_registry_where_any_fits() -> None:
    other = in_registry(Machine(64 * GB, 32))
    assert other is not None and other.name == "local" and other.pins is not None
    assert in_registry(Machine(GB // 10, 2)) is None


def written(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_memory_is_what_the_system_has_or_its_groups_leave(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        {
            "proc/meminfo": "MemTotal: 32000000 kB\nMemAvailable: 16000000 kB\n",
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/memory.max": "3000000000\n",
            "sys/fs/cgroup/a/memory.current": "1500000000\n",
            "sys/fs/cgroup/a/memory.stat": "anon 1\ninactive_file 500000000\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/b/memory.current": "5\n",
        },
    )
    assert this_machine(root).free_bytes == 2 * GB


def test_the_older_kind_of_groups_is_read_too(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        {
            "proc/meminfo": "MemAvailable: 16000000 kB\n",
            "proc/self/cgroup": "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000000",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000000",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert this_machine(root) == Machine(1_500_000_000, 0.5)


def test_cores_are_cut_by_a_quota_and_at_least_one_thread_runs(tmp_path: Path) -> None:
    root = written(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"})
    assert (available_cores(root), whole_cores(root)) == (0.5, 1)
    written(root, {"sys/fs/cgroup/cpu.max": "max 100000\n"})
    assert available_cores(root) == available_cores(tmp_path / "nothing")


def test_weights_bring_the_form_in_which_they_are_asked(tmp_path: Path) -> None:
    small = tmp_path / "mine.gguf"
    small.write_bytes(b"GGUF")
    assert format_of("local", small).kind == "examples"
    assert format_of(f"local:{small}", small).kind == "examples"
    assert format_of("local:good", small).kind == "native"
    same_file = tmp_path / "Qwen3.5-2B-Q4_K_M.gguf"
    same_file.write_bytes(b"GGUF")
    assert format_of(f"local:{same_file}", same_file).template == {"enable_thinking": False}
    with (tmp_path / "large.gguf").open("wb") as large:
        large.truncate(2 * GB)
    assert format_of("local:large.gguf", tmp_path / "large.gguf").kind == "native"
    assert parse("local:good") == BY_NAME["local:good"]
