import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from nanobot.cli.progress import pull
from nanobot.core.errors import ModelUnavailable
from nanobot.models.providers import PROVIDERS
from nanobot.models.weights.installed import KNOWN, Progress, Weights, write_note
from nanobot.models.weights.machine import Machine
from tests.unit.cli.commandline import Nanobot


@pytest.fixture(autouse=True)
def no_weights_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the user's weights is the test's own, and empty."""
    monkeypatch.setenv("NANOBOT_LOCAL_MODELS_DIR", str(tmp_path / "users"))


class Broken:
    """A source that brings half of the weights and then breaks off."""

    def describe(self, weights: Weights) -> str:
        return "the source of the test"

    def size_bytes(self, weights: Weights, work_dir: Path) -> int:
        return 0

    def fetch(self, weights: Weights, work_dir: Path, target: Path, progress: Progress) -> None:
        for done in range(0, weights.size_bytes // 2, weights.size_bytes // 100):
            progress(f"downloading {weights.title} (part 1 of 2)", done, weights.size_bytes)
        raise OSError("the line is dead")


def put(name: str, data: Path) -> Path:
    """Put a file in the place of the weights `name`, noted as verified."""
    (wanted,) = (weights for weights in KNOWN if weights.name == name)
    path = data / "models" / wanted.file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    write_note(path, wanted)
    return path


def rows(text: str) -> Sequence[Sequence[str]]:
    return [line.split() for line in text.splitlines()]


def test_list_shows_name_size_licence_and_which_are_here(nanobot: Nanobot, tmp_path: Path) -> None:
    put("local:small", tmp_path)
    listed, _, _ = nanobot("model", "list", "--data", str(tmp_path)).out.partition("\n\n")
    head, *models = rows(listed)
    assert head == ["NAME", "SIZE", "LICENCE", "HERE", "FITS", "MODEL"]
    assert [(row[0], row[4]) for row in models[:3]] == [
        ("local", "no"),
        ("local:small", "yes"),
        ("local:tiny", "no"),
    ]
    assert {row[5] for row in models} <= {"yes", "slow", "no"}
    assert models[0][1:4] == ["1.12", "GB", "Apache-2.0"]


def test_the_columns_of_the_list_are_below_their_heads(nanobot: Nanobot, tmp_path: Path) -> None:
    config = tmp_path / "settings.toml"
    config.write_text('[providers.a-provider-with-a-long-name]\nbase_url = "https://x/v1"\n')
    listed = nanobot("model", "list", "--config", str(config), "--data", str(tmp_path)).out
    models, _, providers = listed.partition("\n\n")
    for part, column in ((models, "LICENCE"), (providers, "KEY")):
        head, *lines = part.splitlines()
        at = head.index(column)
        assert {line[at - 1] for line in lines} == {" "}
        assert " " not in {line[at] for line in lines}


def test_list_shows_every_provider_with_where_its_key_is_and_never_the_key(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for provider in PROVIDERS:
        for variable in (*provider.key_variables, *provider.token_variables):
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MISTRAL_API_KEY", "canary-1")
    monkeypatch.setenv("OLLAMA_HOST", "box:1234")
    monkeypatch.delenv("OLLAMA_BASE_URL", raising=False)
    config = tmp_path / "settings.toml"
    config.write_text(
        '[providers.work]\nbase_url = "https://x/v1?token=canary-2"\napi_key = "canary-3"\n'
        'default_model = "large"\n[providers.groq]\nkey_command = "print canary-4"\n'
    )
    out = nanobot("model", "list", "--data", str(tmp_path), "--config", str(config)).out
    lines = out.partition("\n\n")[2].splitlines()
    assert lines[0].split()[0] == "PROVIDER" and "canary" not in out
    found = {line.split("  ")[0].strip(): line for line in lines[1:]}
    assert {provider.name for provider in PROVIDERS} | {"work"} == set(found)
    assert "in the config file" in found["work"] and "large" in found["work"]
    assert found["work"].endswith(" https://x/v1")
    assert "MISTRAL_API_KEY" in found["mistral"] and "mistral-small-latest" in found["mistral"]
    assert "by a command" in found["groq"]
    assert found["ollama"].endswith(" http://box:1234/v1") and "not needed" in found["ollama"]
    assert " no " in found["openai"]


def machine_of(monkeypatch: pytest.MonkeyPatch, free_gb: float, cores: float) -> None:
    found = Machine(int(free_gb * 1e9), cores)
    monkeypatch.setattr("nanobot.cli.model.this_machine", lambda: found)


@pytest.mark.parametrize(
    ("free_gb", "cores", "name"), [(16, 8, "local:good"), (16, 2, "local"), (1.5, 2, "local:small")]
)
def test_one_that_suits_the_machine_is_recommended_and_marked_in_the_list(
    nanobot: Nanobot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    free_gb: float,
    cores: float,
    name: str,
) -> None:
    machine_of(monkeypatch, free_gb, cores)
    told = nanobot("model", "recommend", "--data", str(tmp_path)).out
    assert f"{cores:g} cores" in told and f"nanobot model pull {name}`" in told
    marked = [line.split()[0] for line in listed(nanobot, tmp_path) if line.endswith("recommended")]
    assert marked == [name]


def listed(nanobot: Nanobot, data: Path) -> list[str]:
    return nanobot("model", "list", "--data", str(data)).out.splitlines()


def test_where_none_fits_nothing_is_recommended_and_best_is_refused(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_of(monkeypatch, 0.1, 2)
    assert "no local model fits" in nanobot("model", "recommend", "--data", str(tmp_path)).out
    ran = nanobot("model", "pull", "best", "--data", str(tmp_path))
    assert ran.status == 2 and "no local model fits" in ran.err


def test_best_is_of_the_registry_where_the_hub_is_out_of_reach_and_says_so(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_of(monkeypatch, 16, 8)
    path = put("local", tmp_path)

    class NoHub(Broken):
        def fetch(self, weights: Weights, work_dir: Path, target: Path, progress: Progress) -> None:
            raise OSError("no route to the hub")

    monkeypatch.setattr("nanobot.models.weights.fetch.default_sources", lambda: (NoHub(),))
    ran = nanobot("model", "pull", "best", "--data", str(tmp_path))
    assert (ran.status, ran.out) == (0, f"local is here: {path}\n")
    assert "no route to the hub" in ran.err and "instead" in ran.err


def test_weights_are_one_folder_for_all_data_directories(
    nanobot: Nanobot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANOBOT_LOCAL_MODELS_DIR", str(tmp_path / "shared" / "models"))
    path = put("local:tiny", tmp_path / "shared")
    for data in ("one", "other"):
        ran = nanobot("model", "pull", "local:tiny", "--data", str(tmp_path / data))
        assert ran.out == f"local:tiny is here: {path}\n"
    former = put("local:tiny", tmp_path / "old")
    ran = nanobot("model", "pull", "local:tiny", "--data", str(tmp_path / "old"))
    assert ran.out == f"local:tiny is here: {former}\n"


def test_pull_of_what_is_here_fetches_nothing_and_says_where_it_is(nanobot: Nanobot, tmp_path: Path) -> None:
    path = put("local:tiny", tmp_path)
    ran = nanobot("model", "pull", "local:tiny", "--data", str(tmp_path))
    assert (ran.status, ran.out, ran.err) == (0, f"local:tiny is here: {path}\n", "")


def test_a_fetch_tells_what_how_large_and_under_which_licence_and_without_a_terminal_a_line_a_step(
    tmp_path: Path,
) -> None:
    stream = io.StringIO()
    with pytest.raises(ModelUnavailable, match="the line is dead"):
        pull("local:tiny", tmp_path, stream, sources=(Broken(),))
    told = stream.getvalue()
    assert (
        "SmolLM2-135M-Instruct Q4_1" in told
        and "98.4 MB" in told
        and "Apache-2.0" in told
        and str(tmp_path) in told
    )
    assert told.count("downloading") == 1 and "\x1b" not in told and "\r" not in told


def test_remove_deletes_the_weights_and_says_so(nanobot: Nanobot, tmp_path: Path) -> None:
    path = put("local:tiny", tmp_path)
    assert nanobot("model", "remove", "local:tiny", "--data", str(tmp_path)).status == 2
    assert path.exists()
    assert (
        nanobot("model", "remove", "local:tiny", "--yes", "--data", str(tmp_path)).out
        == "local:tiny was deleted\n"
    )
    assert not path.exists()
    assert (
        nanobot("model", "remove", "local:tiny", "--yes", "--data", str(tmp_path)).out
        == "local:tiny is not here\n"
    )


@pytest.mark.parametrize("command", ["pull", "remove"])
def test_a_name_that_is_no_local_model_is_one_line_that_lists_them(
    nanobot: Nanobot, tmp_path: Path, command: str
) -> None:
    ran = nanobot("model", command, "openai:gpt-5-mini", "--data", str(tmp_path))
    assert ran.status == 2
    assert ran.err.count("\n") == 1 and "local:small" in ran.err
