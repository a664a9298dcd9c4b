"""No public function or class of the bridge that only tests call: a walk over the syntax trees from the entry points.

Reached is what an entry point, a module's own level, or a tool names, directly or through what it reaches: a name that
was imported from its module, or an attribute of the module. Methods are not looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import plumeproof
from tests.test_architecture import BRIDGE_FILES, ROOT, files_below

ALLOWED = {  # name: why it may wait for its caller
    "ports.KeyRegistry": "the port of keys.py, for readers; contract tests hold every implementation to it",
    "store.reader.read_anchors": "inspection hands it on to the faces",
}
Name = tuple[str, str]  # module, function or class; "" is the module's own level


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT / "bridge").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in BRIDGE_FILES}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def named_in(tree: ast.Module, module: str) -> Iterator[tuple[str, Name]]:
    """(what names it, what is named)."""
    modules: dict[str, str] = {}
    objects: dict[str, Name] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("plumeproof"):
            for alias in node.names:
                whole, local = f"{node.module}.{alias.name}", alias.asname or alias.name
                if whole in TREES:
                    modules[local] = whole
                else:
                    objects[local] = (str(node.module), alias.name)
    own = {node.name for node in tree.body if isinstance(node, DEFINITIONS)}
    for top in tree.body:
        scope = top.name if isinstance(top, DEFINITIONS) else ""
        for node in ast.walk(top):
            if isinstance(node, ast.Name):
                if node.id in objects:
                    yield scope, objects[node.id]
                elif node.id in own and node.id != scope:
                    yield scope, (module, node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                yield scope, (modules[node.value.id], node.attr)


def reached() -> set[Name]:
    edges: dict[Name, set[Name]] = {}
    for module, tree in TREES.items():
        for scope, name in named_in(tree, module):
            edges.setdefault((module, scope), set()).add(name)
    found: set[Name] = {(module, "") for module in TREES} | {
        ("plumeproof.cli", "main"),
        ("plumeproof.__main__", "main"),
    }
    found |= {(module, name) for module in TREES if ".cli." in module for name in ("add_parser", "main")}
    found |= {("plumeproof.notebook", name) for name in plumeproof.__all__}
    for path in files_below("tools"):
        found |= {name for _, name in named_in(ast.parse(path.read_text(encoding="utf-8")), "tools")}
    waiting = list(found)
    while waiting:
        for name in edges.get(waiting.pop(), set()) - found:
            found.add(name)
            waiting.append(name)
    return found


def test_everything_public_has_a_caller():
    there = {
        (module, node.name)
        for module, tree in TREES.items()
        for node in tree.body
        if isinstance(node, DEFINITIONS) and not node.name.startswith("_")
    }
    lonely = {f"{module}.{name}".removeprefix("plumeproof.") for module, name in there - reached()}
    assert sorted(lonely - set(ALLOWED)) == [], "wire it in where a user reaches it, or delete it and its test"
    assert sorted(set(ALLOWED) - lonely) == [], "has its caller now: take it from the list"


def test_a_lonely_function_would_be_told():
    tree = ast.parse(
        "from plumeproof.rules import flow\ndef used():\n    return flow.dry_m3_h\ndef lonely():\n    used()\n"
    )
    assert ("lonely", ("m", "used")) in set(named_in(tree, "m"))
    assert ("used", ("plumeproof.rules.flow", "dry_m3_h")) in set(named_in(tree, "m"))
    assert "lonely" not in {name for _, (_, name) in named_in(tree, "m")}
