"""Weights from the hub where their makers publish them, over HTTP; a broken download is continued."""

import http.client
import urllib.error
import urllib.request
from pathlib import Path

from nanobot.models.weights.installed import Progress, Weights

_PIECE_BYTES = 1024 * 1024
_FRUITLESS_TRIES = 3


class Hub:
    """The model hub at `base_url`. `timeout_s` bounds the connection, and each wait for more bytes."""

    def __init__(self, base_url: str = "https://huggingface.co", *, timeout_s: float = 3.0) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s

    def describe(self, weights: Weights) -> str:
        return (
            f"the hub ({self._base_url}/{weights.hub_path})"
            if weights.hub_path
            else f"the hub ({self._base_url})"
        )

    def size_bytes(self, weights: Weights, work_dir: Path) -> int:
        return weights.size_bytes - _size_of(work_dir / "assembled")

    def fetch(self, weights: Weights, work_dir: Path, target: Path, progress: Progress) -> None:
        """Write the whole file to `target`.

        Raises:
            OSError: the hub cannot be reached, does not have them, or broke off again and again.
        """
        if weights.hub_path is None:
            raise OSError("its maker does not publish this file there")
        if _size_of(target) > weights.size_bytes:
            target.unlink()
        fruitless = 0
        while (before := _size_of(target)) < weights.size_bytes:
            try:
                self._read(weights, target, before, progress)
                failure: Exception = OSError("the connection was closed too early")
            except urllib.error.HTTPError as error:
                raise OSError(f"HTTP {error.code} {error.reason}") from error
            except (OSError, http.client.HTTPException) as error:
                failure = error
            fruitless = 0 if _size_of(target) > before else fruitless + 1
            # Where nothing ever came the hub is out of reach: the next source is tried at once.
            if (before == 0 and fruitless) or fruitless >= _FRUITLESS_TRIES:
                raise OSError(_reason(failure)) from failure

    def _read(self, weights: Weights, target: Path, start: int, progress: Progress) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme is https, of the source
            f"{self._base_url}/{weights.hub_path}", headers={"User-Agent": "nanobot"}
        )
        if start:
            request.add_header("Range", f"bytes={start}-")
        with urllib.request.urlopen(request, timeout=self._timeout_s) as response:  # noqa: S310 - the scheme is https, of the source
            # A server that ignores the range sends the file from its beginning.
            resumed = response.status == 206
            with target.open("ab" if resumed else "wb") as file:
                done = start if resumed else 0
                while piece := response.read(_PIECE_BYTES):
                    done += len(piece)
                    if done > weights.size_bytes:
                        raise OSError(
                            f"the file there is larger than the {weights.size_bytes} bytes it should have"
                        )
                    file.write(piece)
                    progress(f"downloading {weights.title}", done, weights.size_bytes)


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(cause, "strerror", None) or cause)
