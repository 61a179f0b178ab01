"""The files of the page, read once and compressed once."""

import base64
import hashlib
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nanobot.core.late_pattern import LatePattern

STATIC = Path(__file__).with_name("static")
_PAGE = "page.html"
_MODULES = {
    "preact": "vendor/preact.mjs",
    "preact/hooks": "vendor/preact-hooks.mjs",
    "htm": "vendor/htm.mjs",
    "@preact/signals": "vendor/signals.mjs",
    "@preact/signals-core": "vendor/signals-core.mjs",
    "markdown-it": "vendor/markdown-it.mjs",
}
"""Where the names that modules import lead. Highlighting is loaded later, by path."""
_COMMENTS = LatePattern(rb"^[ \t]*//.*$", re.MULTILINE)
_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent. `etag` differs with its content."""

    body: bytes
    compressed: bytes
    media_type: str
    etag: str


class Assets(msgspec.Struct, frozen=True):
    """The page and its files.

    `version` differs with the content of any file; `files` are served below it, by their path in `static`.
    `policy` is the page's Content-Security-Policy.
    """

    page: Asset
    files: Mapping[str, Asset]
    version: str
    policy: str


def load_assets() -> Assets:
    """Read and compress the files (some 500 kB, in some 50 ms)."""
    contents = {
        path.relative_to(STATIC).as_posix(): _sent(path)
        for path in sorted(STATIC.rglob("*"))
        if path.suffix in _MEDIA_TYPES
    }
    template = contents.pop(_PAGE).decode()
    version = _version(template, contents)
    base = f"web/{version}/"
    # In the page itself, as browsers take no import map from elsewhere; the policy allows this one only.
    modules = {name: f"./{base}{path}" for name, path in _MODULES.items()}
    import_map = msgspec.json.encode({"imports": modules}).decode()
    own = [name for name in contents if name.endswith(".js")]
    preloads = "\n".join(
        f'<link rel="modulepreload" href="{base}{name}">' for name in (*_MODULES.values(), *own)
    )
    page = (
        template.replace("{{base}}", base)
        .replace("{{import map}}", import_map)
        .replace("{{preloads}}", preloads)
    )
    return Assets(
        page=_asset(_PAGE, page.encode()),
        files={name: _asset(name, content) for name, content in contents.items()},
        version=version,
        policy=_policy(import_map),
    )


def _sent(path: Path) -> bytes:
    """Return the file as it is sent: of our own code without the lines that are comments, which are empty
    then, so that all others keep their numbers. What others wrote is as it was.
    """
    content = path.read_bytes()
    return _COMMENTS.sub(b"", content) if path.parent == STATIC and path.suffix == ".js" else content


def _version(template: str, contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(template.encode())
    for name, content in contents.items():
        digest.update(b"\0%b\0%d\0%b" % (name.encode(), len(content), content))
    return digest.hexdigest()[:16]


def _asset(name: str, content: bytes) -> Asset:
    return Asset(
        body=content,
        compressed=_gzip(content),
        media_type=_MEDIA_TYPES[Path(name).suffix],
        etag=f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    )


def _gzip(content: bytes) -> bytes:
    # The module gzip would be loaded at each start for this alone.
    packer = zlib.compressobj(zlib.Z_BEST_COMPRESSION, wbits=16 + zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def _policy(import_map: str) -> str:
    """Return what the page may do: run and load its own files, and talk to this server. Pictures that are not
    part of a message would tell another server that it was read.
    """
    digest = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'sha256-{digest}'",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            # Markup reaches the document only through the sanitiser.
            "require-trusted-types-for 'script'",
            "trusted-types dompurify",
        )
    )
