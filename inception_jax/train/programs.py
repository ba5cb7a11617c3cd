"""Compiled steps kept whole: a process whose program is there traces and lowers nothing.

JAX's own cache spares the compiler, but is asked only after tracing and lowering, which are 3 of
the 19 s of a small trial. A step is kept beside it, under a name that follows from everything the
program follows from: config, shapes, sources of this package, versions, flags and devices.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable
from jax.sharding import Mesh
from ml_collections import ConfigDict

import inception_jax
from inception_jax import config as configs
from inception_jax import errors
from inception_jax.models import factorization
from inception_jax.train import files, result
from inception_jax.train import mesh as meshes

FOLDER = "whole"
# Of a config, what is an argument of the program or says where and how far it is run.
_ARGUMENTS = ("seed", "optim.learning_rate", "parallel", *configs.PLACE_KEYS)
_ENVIRONMENT = ("XLA_FLAGS", "NPROC")
_HIT = "/jax/compilation_cache/cache_hits"
_log = logging.getLogger(__name__)


def kept(
    function: Callable[..., Any], name: str, config: ConfigDict, mesh: Mesh, *, donate: bool = False
) -> Callable[..., Any]:
    """The same function, whose program is looked up before it is compiled, and kept after.

    Without effect where JAX's compilation cache is off, where a run has several processes or not
    all devices, and once a factorization is registered whose source is not this package's.

    Args:
        function: (tree, batch, ...) -> (a tree like the first argument, dict of arrays), or the
            dict alone; all arguments but the batch are replicated over the mesh, and results are.
        name: of the function.
        config: all that the function depends on besides its arguments and the sources.
        mesh: over which the batch is split.
        donate: whether the first argument is given away.
    """
    folder = jax.config.values.get("jax_compilation_cache_dir")
    whole = jax.process_count() == 1 and mesh.size == len(jax.devices())
    known = factorization.STRATEGIES.keys() == factorization.OWN
    if not (folder and jax.config.values["jax_enable_compilation_cache"] and whole and known):
        return function
    about = _about(name, config, mesh)
    program: Callable[..., Any] | None = None

    def call(tree: Any, *rest: Any) -> Any:
        nonlocal program
        if program is None:
            program = _find(function, (tree, *rest), about, Path(folder) / FOLDER, mesh, donate)
        leaves, found = program(jax.tree.leaves(tree), *rest)
        return (jax.tree.unflatten(jax.tree.structure(tree), leaves), found) if leaves else found

    return call


def _find(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    about: dict[str, Any],
    folder: Path,
    mesh: Mesh,
    donate: bool,
) -> Callable[..., Any]:
    """The compiled function over lists of leaves, which pickle takes, as it does not a state."""
    tree, *rest = arguments
    structure, leaves = jax.tree.structure(tree), jax.tree.leaves(tree)

    def flat(leaves: list[jax.Array], *rest: Any) -> tuple[list[jax.Array], Any]:
        given = function(jax.tree.unflatten(structure, leaves), *rest)
        return (jax.tree.leaves(given[0]), given[1]) if isinstance(given, tuple) else ([], given)

    shapes = [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(arguments)]
    content = json.dumps(about | {"tree": str(structure), "shapes": shapes}, sort_keys=True)
    path = folder / hashlib.sha256(content.encode()).hexdigest()
    found = _read(path)
    if found is None:
        same = meshes.replicated(mesh)
        places = (same, meshes.split(mesh), *(same for _ in rest[1:]))
        given = (0,) if donate else ()
        program = jax.jit(flat, in_shardings=places, out_shardings=same, donate_argnums=given)
        found, fresh = _compiled(program.lower(leaves, *rest))
        if fresh:
            _write(path, found)
    return found


def _compiled(lowered: jax.stages.Lowered) -> tuple[Any, bool]:
    """The program, and whether it was compiled just now.

    One that came out of JAX's cache cannot be kept: XLA writes it without its functions then.
    """
    hits: list[str] = []

    def listen(event: str, **_: Any) -> None:
        hits.extend([event] if event == _HIT else [])

    jax.monitoring.register_event_listener(listen)
    try:
        return lowered.compile(), not hits
    finally:
        jax.monitoring.unregister_event_listener(listen)


def _read(path: Path) -> Any:
    """The program that is kept there, or None."""
    try:
        return serialize_executable.deserialize_and_load(*pickle.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever is wrong with it, it can be compiled again
        _log.debug("cannot use %s: %s", path, error)
        return None


def _write(path: Path, program: Any) -> None:
    """Keeps a program, where it can be kept."""
    try:
        content = pickle.dumps(serialize_executable.serialize(program))
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, lambda file: file.write(content))
    except (errors.UserError, OSError, ValueError, NotImplementedError) as error:
        _log.debug("cannot keep %s: %s", path, error)


def _about(name: str, config: ConfigDict, mesh: Mesh) -> dict[str, Any]:
    """All that a program follows from but its arguments' shapes."""
    content = json.loads(configs.to_json(config))
    for key in _ARGUMENTS:
        *parents, last = key.split(".")
        functools.reduce(dict.__getitem__, parents, content).pop(last, None)
    settings = {
        key: str(value)
        for key, value in jax.config.values.items()
        if not any(word in key for word in ("cache", "dir", "log"))
    }
    device = mesh.devices.flat[0]
    return {
        "name": name,
        "config": content,
        "settings": settings,
        "devices": [mesh.size, device.device_kind, device.client.platform_version],
        "versions": result.versions(),
        "sources": _sources(),
        "environment": {key: os.environ.get(key, "") for key in _ENVIRONMENT},
    }


@functools.cache
def _sources() -> str:
    """Digest of this package's source files."""
    root, total = Path(inception_jax.__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return total.hexdigest()
