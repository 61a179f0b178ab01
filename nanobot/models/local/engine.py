"""The child process that runs the local model: `python -m nanobot.models.local.engine`.

It reads one line of settings from its standard input, loads the model, and writes to its standard output
where it listens, or why it cannot. It lives as long as its standard input is open: when the parent ends,
however it ends, so does the child. A crash of the engine, or an instruction that this processor lacks, ends
only this process.
"""

import contextlib
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import msgspec

Trouble = Literal["not_installed", "libgomp_missing", "not_loaded"]


class EngineSettings(msgspec.Struct, frozen=True):
    """How the engine is to run.

    `socket_path` None: it listens on `port` of the loopback interface; 0: on a free one. `cache_mib`: how
    much memory it may use for conversations that are not being answered. `slots_dir`: where it keeps the
    state of slots when it is asked to.
    """

    model_path: str
    log_path: str
    api_key: str
    socket_path: str | None
    context_tokens: int
    slots: int
    threads: int
    batch_threads: int
    sleep_idle_s: int
    cache_mib: int
    slots_dir: str
    port: int = 0


class EngineReady(msgspec.Struct, frozen=True, tag="ready"):
    """The model is loaded. `address`: the URL of its port, where it does not listen on a socket."""

    address: str
    pid: int


class EngineFailed(msgspec.Struct, frozen=True, tag="failed"):
    """The model cannot be loaded; `message` is the library's own."""

    trouble: Trouble
    message: str


Report = EngineReady | EngineFailed


def main() -> None:
    settings = msgspec.json.decode(sys.stdin.buffer.readline(), type=EngineSettings)
    parent = keep_output_apart(Path(settings.log_path))
    threading.Thread(target=_end_with_parent, args=(settings.socket_path,), daemon=True).start()
    try:
        server, report = _start(settings)
    except ImportError as error:
        server, report = None, _import_trouble(error)
    except (RuntimeError, OSError, ValueError) as error:
        server, report = None, EngineFailed("not_loaded", str(error))
    with os.fdopen(parent, "wb") as channel:
        channel.write(msgspec.json.encode(report) + b"\n")
    if server is None:
        sys.exit(1)
    # The engine serves from threads of its own.
    threading.Event().wait()


def _start(settings: EngineSettings) -> tuple[Any, Report]:
    # By default, waiting threads spin: on a busy machine the model then starves the server, and itself. The
    # variable is read at import.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    # 100 MB of native code, which only this process loads.
    import xllamacpp

    if settings.socket_path is not None:
        Path(settings.socket_path).unlink(missing_ok=True)
    params = xllamacpp.CommonParams()
    params.model.path = settings.model_path
    params.hostnames = [settings.socket_path or "127.0.0.1"]
    params.port = settings.port
    params.api_keys = [settings.api_key]
    params.n_ctx = settings.context_tokens
    params.n_parallel = settings.slots
    # One pool for all slots: each conversation may use the whole window.
    params.kv_unified = True
    params.cache_ram_mib = settings.cache_mib
    # Requests say which slot they go to; conversations stay in theirs.
    params.cache_idle_slots = False
    params.slot_save_path = f"{settings.slots_dir}{os.sep}"
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.batch_threads
    # Repacked weights would take 600 MB more, and make the reading of prompts slower.
    params.no_extra_bufts = True
    params.sleep_idle_seconds = settings.sleep_idle_s
    params.fit_params = False
    params.warmup = False
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = ""
    params.verbosity = 1
    server = xllamacpp.Server(params)
    return server, EngineReady(server.listening_address, os.getpid())


def _import_trouble(error: ImportError) -> EngineFailed:
    if "libgomp" in str(error):
        return EngineFailed("libgomp_missing", str(error))
    return EngineFailed("not_installed", str(error))


def keep_output_apart(log: Path) -> int:
    """Redirect what the engine prints to `log`, and return a descriptor of the former standard output. What
    the engine before it has printed, if anything, is kept in a file beside it: it may say why that one died.
    """
    parent = os.dup(1)
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        if log.stat().st_size:
            log.replace(log.with_name(f"{log.name}.before"))
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    return parent


def _end_with_parent(socket_path: str | None) -> None:
    # Reads the descriptor itself: a buffered reader has a lock, which the interpreter would wait for at its
    # end.
    while os.read(0, 4096):
        pass
    if socket_path is not None:
        with contextlib.suppress(OSError):
            shutil.rmtree(Path(socket_path).parent)
    # The engine's threads run native code and would hold up an orderly exit.
    os._exit(0)


if __name__ == "__main__":
    main()
