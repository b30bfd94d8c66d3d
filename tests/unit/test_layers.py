"""Imports point one way only; read from the source, so that no import is missed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import record_processor

ROOT = Path(record_processor.__file__).parent
PACKAGE = ROOT.name

SMALL = {
    "errors",
    "paths",
    "change",
    "differences",
    "models",
    "record",
    "values",
    "filters",
    "settings",
    "kcl_names",
    "properties_file",
    "locations",
    "aws",
}
MAY_IMPORT = {
    "errors": set[str](),
    "kcl_names": set[str](),
    "properties_file": set[str](),
    "paths": set[str](),
    "locations": set[str](),
    "aws": set[str](),
    "change": {"errors", "values"},
    "differences": {"paths", "values"},
    "models": {"errors", "values"},
    "record": {"change", "differences", "errors", "models", "paths", "values"},
    "values": {"errors"},
    "filters": {"errors", "paths"},
    "settings": {"errors", "filters", "locations", "paths", "kcl_names", "properties_file"},
    "settings_reference": {"settings", "kcl_names"},
    "processor": {"errors", "models", "record"},
    "": {"errors", "record", "processor"},
    "parking": SMALL,
    "stores": SMALL,
    "pipeline": {*SMALL, "processor", "parking", "stores"},
    "worker": {*SMALL, "processor", "parking", "stores", "pipeline"},
    "launcher": {"errors", "settings", "jars"},
    "jars": set[str](),
    "testing": {*SMALL, "", "processor", "parking", "stores", "pipeline", "worker", "launcher", "jars"},
    "cli": {
        *SMALL,
        "",
        "processor",
        "parking",
        "stores",
        "pipeline",
        "worker",
        "launcher",
        "jars",
        "testing",
    },
    "__main__": {"cli"},
}
"""The parts of the package, and which others each may import. `""` is the package's public names."""


def _part(module: str) -> str:
    """Return the part that a dotted name inside the package belongs to."""
    return [*module.split("."), ""][1]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path) -> Iterator[str]:
    """Yield the dotted names in the package that a file imports, at its top or anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            if node.module == PACKAGE:
                yield from (_submodule_or_name(alias.name) for alias in node.names)
            elif (node.module or "").split(".")[0] == PACKAGE:
                yield node.module or ""


def _submodule_or_name(name: str) -> str:
    is_module = (ROOT / f"{name}.py").exists() or (ROOT / name).is_dir()
    return f"{PACKAGE}.{name}" if is_module else PACKAGE


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=_module)
def test_imports_point_one_way(path: Path) -> None:
    """Each part imports only itself and the parts that are allowed to it."""
    part = _part(_module(path))
    assert part in MAY_IMPORT, f"{part} has no place in the layers yet"
    foreign = {_part(name) for name in _imported(path)} - {part}
    assert foreign <= MAY_IMPORT[part], f"{path} imports {sorted(foreign - MAY_IMPORT[part])}"


def test_the_tether_stands_alone() -> None:
    """tether.py is also run by its path, before the package can be found."""
    assert not list(_imported(ROOT / "worker" / "tether.py"))
