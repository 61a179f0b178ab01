"""The layers and packages of docs/architecture.md are those of the import contract and of the source tree."""

import re
import tomllib
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nanobot"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def section(title: str) -> str:
    """Return the text of docs/architecture.md under the heading `title`."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def layers_of(lines: list[str]) -> list[set[str]]:
    """Return the packages of each layer, the highest first."""
    return [{name.strip() for name in line.split("|")} for line in lines]


def rows() -> list[list[str]]:
    """Return the rows of the table of packages, without its head."""
    lines = [line for line in section("Packages and layers").splitlines() if line.startswith("|")]
    assert len(lines) > 2, "the page has a table of packages"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def contract(of_type: str, *, name: str = "") -> dict[str, list[str]]:
    (found,) = [each for each in CONTRACTS if each["type"] == of_type and name in each["name"]]
    return found  # type: ignore[no-any-return]


def packages() -> set[str]:
    """Return the packages and modules directly in `nanobot`, as the contract names them."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return folders | {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}


def test_the_page_shows_the_layers_of_the_import_contract() -> None:
    block = re.search(r"^```\n(.*?)^```$", section("Packages and layers"), re.DOTALL | re.MULTILINE)
    assert block is not None, "the page has a block of layers"
    assert layers_of(block[1].splitlines()) == layers_of(contract("layers")["layers"])


def test_every_package_has_its_row_and_rows_stand_in_the_order_of_the_layers() -> None:
    names = [row[0].strip("`").removesuffix("/").removesuffix(".py") for row in rows()]
    assert sorted(names) == sorted(packages())
    layers = layers_of(contract("layers")["layers"])
    depths = [next(depth for depth, layer in enumerate(layers) if name in layer) for name in names]
    assert all(upper <= lower for upper, lower in pairwise(depths)), names


def test_every_package_is_in_one_layer_of_the_contract() -> None:
    layers = [name for layer in layers_of(contract("layers")["layers"]) for name in layer]
    assert sorted(layers) == sorted(packages())


def test_only_stores_may_import_a_database_driver() -> None:
    bound = {name.removeprefix("nanobot.") for name in contract("forbidden", name="driver")["source_modules"]}
    assert bound == packages() - {"stores", "__main__"}
