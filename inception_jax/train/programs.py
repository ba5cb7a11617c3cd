"""Compiled steps kept whole: a process whose program is there traces and lowers nothing.

JAX's own cache spares the compiler, but is asked only after tracing and lowering, which are 3 of
the 19 s of a small trial. A step is kept beside it, under a digest of all that it follows from:
the keys of the config that a step reads, the network, arguments, sources, versions, flags and
processor. Only a process that has called `enable` keeps programs and takes kept ones: a trial or a
command, which run this package as it lies on the disk and nothing of a user's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

import inception_jax
from inception_jax import config as configs
from inception_jax import startup
from inception_jax.models import factorization
from inception_jax.train import compiler, program_files, result
from inception_jax.train import mesh as meshes

FOLDER = "whole"
# What a step reads of a config, and of that what is an argument of the program.
READ = ("model", "loss", "optim", "data.colour", "train.accumulate")
_ARGUMENTS = ("optim.learning_rate",)
# jaxlib's releases that this was tested with, on a CPU; elsewhere nothing is kept.
_RELEASES = ("0.10.",)
_ENVIRONMENT = ("XLA_FLAGS", "NPROC")
_HIT = "/jax/compilation_cache/cache_hits"
APART = 200
"""Calls for which it pays to compile a program in a process of its own."""

_digest_of_sources = ""  # "" until `enable`
_apart = False


def enable(*, apart: bool = True) -> None:
    """Keeps programs from now on; called as a process starts, before its sources can change.

    Args:
        apart: whether those that are called often are compiled in a process of their own.
    """
    global _apart, _digest_of_sources
    _apart = apart
    _digest_of_sources = sources(Path(inception_jax.__file__).parent)


def sources(root: Path) -> str:
    """Digest of a package's source files."""
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return total.hexdigest()


class Recipe(NamedTuple):
    """How any process of these sources makes the same function.

    Attributes:
        make: of a module; (model, config, mesh) -> (tree, batch, ...) -> (a tree like the first
            argument, dict of arrays), or the latter alone; all arguments but the batch are
            replicated over the mesh, and results are.
        model: the network that the function applies.
        config: all that the function depends on besides.
        donate: whether the function's first argument is given away.
    """

    make: Callable[[Any, ConfigDict, Mesh], Callable[..., Any]]
    model: Any
    config: ConfigDict
    donate: bool = False


def kept(recipe: Recipe, mesh: Mesh, *, calls: int = 1, early: bool = False) -> Callable[..., Any]:
    """The recipe's function, whose program is looked up before it is compiled, and kept after.

    Without effect before `enable`, where JAX's compilation cache is off or in a store, on
    accelerators, in a run of several processes or of a part of the devices, and once a
    factorization is registered whose source is not this package's.

    Args:
        recipe: of the function.
        mesh: over which the batch is split.
        calls: how many are expected; for many of them the program is compiled apart.
        early: whether to begin at once with what can be done before the first call.
    """
    folder, apart = home(recipe, mesh), _apart and calls >= APART
    if folder is None:
        return recipe.make(recipe.model, recipe.config, mesh)
    ahead = compiler.Ahead(folder, apart=apart, early=early)
    programs: dict[Any, Callable[..., Any]] = {}

    def call(tree: Any, *rest: Any) -> Any:
        key = jax.tree.structure((tree, *rest)), *(leaf.shape for leaf in jax.tree.leaves(rest))
        first = key not in programs
        if first:
            path = folder / name(tree, rest)
            program = ahead.read(path) or ahead.compiled(recipe, tree, rest, path)
            programs[key] = program or compiled(recipe, mesh, tree, rest, path)
        leaves, results = programs[key](jax.tree.leaves(tree), *rest)
        if first and apart:
            jax.block_until_ready(results)
            startup.give_back()
        if not leaves:
            return results
        return jax.tree.unflatten(jax.tree.structure(tree), leaves), results

    return call


def home(recipe: Recipe, mesh: Mesh) -> Path | None:
    """Folder of a recipe's programs; None where none are kept."""
    folder = jax.config.values.get("jax_compilation_cache_dir") or ""
    usable = folder and "://" not in folder and jax.config.values["jax_enable_compilation_cache"]
    whole = jax.process_count() == 1 and mesh.size == len(jax.devices())
    tested = jax.default_backend() == "cpu" and result.versions()["jaxlib"].startswith(_RELEASES)
    own = factorization.STRATEGIES == factorization.OWN
    here = _digest_of_sources and usable and whole and tested and own
    return Path(folder) / FOLDER / _digest(_about(recipe, mesh)) if here else None


def _about(recipe: Recipe, mesh: Mesh) -> dict[str, Any]:
    """All that a program follows from but its arguments."""
    make, found = recipe.make, configs.keys(recipe.config)
    read = {key: str(value) for key, value in found.items() if _within(key, READ)}
    settings = {key: str(value) for key, value in jax.config.values.items()}
    return {
        "function": f"{make.__module__}.{make.__qualname__}",
        "model": repr(recipe.model),
        "donate": recipe.donate,
        "config": {key: value for key, value in read.items() if key not in _ARGUMENTS},
        "settings": {k: v for k, v in settings.items() if k != "jax_compilation_cache_dir"},
        "devices": mesh.size,
        "processor": startup.processor(),
        "versions": result.versions(),
        "sources": _digest_of_sources,
        "environment": {key: os.environ.get(key, "") for key in _ENVIRONMENT},
    }


def _within(key: str, prefixes: Iterable[str]) -> bool:
    return any(key == prefix or key.startswith(f"{prefix}.") for prefix in prefixes)


def name(tree: Any, rest: tuple[Any, ...]) -> str:
    """What a program is called among those of one recipe: a digest of its arguments' shapes."""
    arguments = (tree, *rest)
    shapes = [
        f"{leaf.dtype}{list(leaf.shape)}{getattr(leaf, 'weak_type', False)}"
        for leaf in jax.tree.leaves(arguments)
    ]
    return _digest({"tree": str(jax.tree.structure(arguments)), "shapes": shapes})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def compiled(recipe: Recipe, mesh: Mesh, tree: Any, rest: tuple[Any, ...], path: Path) -> Any:
    """The compiled function over lists of leaves, which pickle takes, as it does not a state.

    The arguments may be `jax.ShapeDtypeStruct`. The program is kept at the path.
    """
    structure, same = jax.tree.structure(tree), meshes.replicated(mesh)
    function = recipe.make(recipe.model, recipe.config, mesh)

    def flat(leaves: list[jax.Array], *rest: Any) -> tuple[list[jax.Array], Any]:
        found = function(jax.tree.unflatten(structure, leaves), *rest)
        return (jax.tree.leaves(found[0]), found[1]) if isinstance(found, tuple) else ([], found)

    flat.__name__ = function.__name__  # as profiles and caches show it
    places = (same, meshes.split(mesh), *(same for _ in rest[1:]))
    donated = (0,) if recipe.donate else ()
    program = jax.jit(flat, in_shardings=places, out_shardings=same, donate_argnums=donated)
    # Compiled here, it can be kept; of one that came out of JAX's cache XLA writes no functions.
    hits: list[str] = []

    def listen(event: str, **_: Any) -> None:
        if event == _HIT:
            hits.append(event)

    lowered = program.lower(jax.tree.leaves(tree), *rest)
    jax.monitoring.register_event_listener(listen)
    try:
        found = lowered.compile()
    finally:
        jax.monitoring.unregister_event_listener(listen)
    if not hits:
        program_files.write(path, found)
    return found
