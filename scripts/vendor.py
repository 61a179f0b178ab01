"""Fetch the JavaScript libraries of the chat page from the npm registry.

    python scripts/vendor.py            fetch and verify everything that scripts/vendor.toml pins
    python scripts/vendor.py --update   pin what the registry has under the versions named there

The files go to nanobot/web/static/vendor byte for byte, with the licences in LICENSES.txt. Needs npm.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path
from typing import Any

PINS = Path(__file__).with_name("vendor.toml")
PLACE = Path(__file__).parents[1] / "nanobot" / "web" / "static" / "vendor"
LICENSES = "LICENSES.txt"
_HEADER = """\
# What the chat page takes from others, as it is in their packages. `python scripts/vendor.py` fetches it anew
# and refuses what does not have these hashes; `--update` writes the hashes of what it got.
"""


class Mismatch(Exception):
    """What came is not what was pinned."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="pin what the registry has now")
    update = parser.parse_args().update
    npm = shutil.which("npm")
    if npm is None:
        print("vendor: npm is not on this machine", file=sys.stderr)
        return 2
    packages = tomllib.loads(PINS.read_text("utf-8"))["package"]
    contents: dict[str, bytes] = {}
    licenses: list[str] = []
    try:
        for package in packages:
            files = fetch(npm, package, update=update)
            licenses.append(license_text(package, files.pop(package["license_file"])))
            contents |= {package["files"][name]["as"]: content for name, content in files.items()}
    except Mismatch as error:
        print(f"vendor: {error}", file=sys.stderr)
        return 1
    contents[LICENSES] = "\n\n".join(licenses).encode()
    place(contents)
    if update:
        PINS.write_text(rendered(packages), "utf-8")
    print(f"vendor: {len(contents)} files of {len(packages)} packages in {PLACE}")
    return 0


def fetch(npm: str, package: dict[str, Any], *, update: bool) -> dict[str, bytes]:
    """Return the files of a package that are wanted, by their path in it, with its licence.

    Raises:
        Mismatch
    """
    name = f"{package['name']}@{package['version']}"
    wanted = {**package["files"], package["license_file"]: None}
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", name, "--json", "--pack-destination", folder]
        listing = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        archive = Path(folder) / listing[0]["filename"]
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if update:
            package["integrity"] = integrity
        elif package["integrity"] != integrity:
            raise Mismatch(f"{name} is {integrity}, pinned is {package['integrity']}")
        with tarfile.open(archive) as packed:
            files = {each: read(packed, f"package/{each}", name) for each in wanted}
    for path, pin in package["files"].items():
        digest = hashlib.sha256(files[path]).hexdigest()
        if update:
            pin["sha256"] = digest
        elif pin["sha256"] != digest:
            raise Mismatch(f"{path} of {name} has the sha256 {digest}, pinned is {pin['sha256']}")
    return files


def read(packed: tarfile.TarFile, path: str, name: str) -> bytes:
    try:
        member = packed.extractfile(path)
    except KeyError:
        member = None
    if member is None:
        raise Mismatch(f"{name} has no {path}")
    return member.read()


def license_text(package: dict[str, Any], text: bytes) -> str:
    title = f"{package['name']} {package['version']} ({package['license']})"
    return f"{title}\n{'=' * len(title)}\n\n{text.decode().strip()}\n"


def place(contents: dict[str, bytes]) -> None:
    """Put the files in their place, and nothing else beside them."""
    PLACE.mkdir(parents=True, exist_ok=True)
    for old in PLACE.iterdir():
        if old.name not in contents:
            old.unlink()
    for name, content in contents.items():
        (PLACE / name).write_bytes(content)


def rendered(packages: list[dict[str, Any]]) -> str:
    out = [_HEADER]
    for package in packages:
        out.append("\n[[package]]\n")
        fields = ("name", "version", "license", "license_file", "integrity")
        out.extend(f"{field} = {json.dumps(package[field])}\n" for field in fields)
        out.append("\n[package.files]\n")
        for path, pin in package["files"].items():
            shown = f'{{ as = {json.dumps(pin["as"])}, sha256 = "{pin["sha256"]}" }}'
            out.append(f"{json.dumps(path)} = {shown}\n")
    return "".join(out)


if __name__ == "__main__":
    sys.exit(main())
