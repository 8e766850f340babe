"""The version of the code behind a stage: a digest over what it imports.

A stored result is valid as long as the code that would make it again is the
same. That code is found by walking the import statements of `tenfold` modules,
so editing the preview never retrains a network. Comments, docstrings and
layout do not count.
"""

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "tenfold"

#: Modules that carry bytes or words but never change a result. What they hand
#: on (recipe sections, input digests) is part of the key already.
PLUMBING = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "codeversion",
        "errors",
        "progress",
        "recipe",
        "sweep",
        "store",
        "data.storage",
        "data.gcs",
        "data.s3",
        "data.sources",
        "data.archives",
        "data.files",
        "training.board",
        "challenges",
        "stages",
        "stages.context",
    )
)


def code_version(modules: Iterable[str]) -> str:
    """Digest the named modules and every `tenfold` module they import.

    Args:
        modules: dotted names; each must be a module of this package.

    Returns:
        16 hex digits.
    """
    digest = hashlib.sha256()
    for name in sorted(_closure(modules)):
        digest.update(f"{name}={_module_digest(name)}\n".encode())
    return digest.hexdigest()[:16]


def _closure(modules: Iterable[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in PLUMBING:
            found.add(name)
            waiting.extend(_imports(name))
    return found


@functools.cache
def _source(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin) if spec and spec.origin else None


@functools.cache
def _tree(name: str) -> ast.Module:
    path = _source(name)
    if path is None:
        raise ModuleNotFoundError(name)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        _drop_docstring(node)
    return tree


def _drop_docstring(node: ast.AST) -> None:
    body = getattr(node, "body", None)
    if not isinstance(body, list) or not body:
        return
    first = body[0]
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        del body[0]


@functools.cache
def _module_digest(name: str) -> str:
    return hashlib.sha256(ast.dump(_tree(name)).encode()).hexdigest()


@functools.cache
def _imports(name: str) -> tuple[str, ...]:
    """List the package's modules that `name` imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module.split(".")[0] == PACKAGE:
                # `from package import module` names a module, not an attribute.
                names = (f"{node.module}.{alias.name}" for alias in node.names)
                found.update(name for name in names if _is_module(name))
    return tuple(sorted(n for n in found if n.startswith(f"{PACKAGE}.")))


@functools.cache
def _is_module(name: str) -> bool:
    # Looking for `package.module.name` with find_spec would run the module.
    parent, _, last = name.rpartition(".")
    source = _source(parent)
    if source is None or source.name != "__init__.py":
        return False
    module, package = source.with_name(f"{last}.py"), source.with_name(last)
    return module.is_file() or (package / "__init__.py").is_file()
