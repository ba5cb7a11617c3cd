"""Compiled steps kept whole: a process whose program is there traces and lowers nothing.

JAX's own cache spares the compiler, but is asked only after tracing and lowering, which are 3 of
the 19 s of a small trial. A step is kept beside it, under a digest of all that it follows from:
the keys of the config that a step reads, the network, arguments, sources, versions, flags and
processor. Only a process that has called `enable` keeps programs and takes kept ones: a trial or
`inception-jax train`, which run this package as it lies on the disk and nothing of a user's.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable
from jax.sharding import Mesh
from ml_collections import ConfigDict

import inception_jax
from inception_jax import config as configs
from inception_jax import files, startup
from inception_jax.models import factorization
from inception_jax.train import mesh as meshes
from inception_jax.train import result

FOLDER = "whole"
# What a step reads of a config, and of that what is an argument of the program.
READ = ("model", "loss", "optim", "data.colour", "train.accumulate")
_ARGUMENTS = ("optim.learning_rate",)
# jaxlib's releases that this was tested with, on a CPU; elsewhere nothing is kept.
_RELEASES = ("0.10.",)
_ENVIRONMENT = ("XLA_FLAGS", "NPROC")
_HIT = "/jax/compilation_cache/cache_hits"
_DAYS = 30  # after which a program that nobody took is removed

_log = logging.getLogger(__name__)
_digest_of_sources = ""  # "" until `enable`


def enable() -> None:
    """Keeps programs from now on; called as a process starts, before its sources can change."""
    global _digest_of_sources
    _digest_of_sources = sources(Path(inception_jax.__file__).parent)


def sources(root: Path) -> str:
    """Digest of a package's source files."""
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        total.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return total.hexdigest()


def kept(
    function: Callable[..., Any], model: Any, config: ConfigDict, mesh: Mesh, *, donate: bool
) -> Callable[..., Any]:
    """The same function, whose program is looked up before it is compiled, and kept after.

    Without effect before `enable`, where JAX's compilation cache is off or in a store, on
    accelerators, in a run of several processes or of a part of the devices, and once a
    factorization is registered whose source is not this package's.

    Args:
        function: (tree, batch, ...) -> (a tree like the first argument, dict of arrays), or the
            dict alone; all arguments but the batch are replicated over the mesh, and results are.
        model: the network that the function applies.
        config: all that the function depends on besides.
        mesh: over which the batch is split.
        donate: whether the first argument is given away.
    """
    folder = _folder(mesh)
    if folder is None:
        return function
    about = _about(f"{function.__name__} {model!r}", config, mesh)
    programs: dict[Any, Callable[..., Any]] = {}

    def call(tree: Any, *rest: Any) -> Any:
        structure = jax.tree.structure((tree, *rest))
        if structure not in programs:
            path = folder / _name(about, tree, rest)
            programs[structure] = _read(path) or _compile(function, tree, rest, mesh, donate, path)
        leaves, found = programs[structure](jax.tree.leaves(tree), *rest)
        return (jax.tree.unflatten(jax.tree.structure(tree), leaves), found) if leaves else found

    return call


def _folder(mesh: Mesh) -> Path | None:
    """Where programs are kept; None where none are."""
    folder = jax.config.values.get("jax_compilation_cache_dir") or ""
    usable = folder and "://" not in folder and jax.config.values["jax_enable_compilation_cache"]
    whole = jax.process_count() == 1 and mesh.size == len(jax.devices())
    tested = jax.default_backend() == "cpu" and result.versions()["jaxlib"].startswith(_RELEASES)
    own = factorization.STRATEGIES == factorization.OWN
    here = _digest_of_sources and usable and whole and tested and own
    return Path(folder) / FOLDER if here else None


def _about(name: str, config: ConfigDict, mesh: Mesh) -> dict[str, Any]:
    """All that a program follows from but its arguments."""
    found = configs.keys(config)
    read = {key: str(value) for key, value in found.items() if _within(key, READ)}
    settings = {key: str(value) for key, value in jax.config.values.items()}
    return {
        "name": name,
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


def _name(about: dict[str, Any], tree: Any, rest: tuple[Any, ...]) -> str:
    """The file's name: a digest of all that the program follows from."""
    arguments = (tree, *rest)
    shapes = [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(arguments)]
    content = about | {"tree": str(jax.tree.structure(arguments)), "shapes": shapes}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _compile(
    function: Callable[..., Any],
    tree: Any,
    rest: tuple[Any, ...],
    mesh: Mesh,
    donate: bool,
    path: Path,
) -> Any:
    """The compiled function over lists of leaves, which pickle takes, as it does not a state."""
    structure, same = jax.tree.structure(tree), meshes.replicated(mesh)

    def flat(leaves: list[jax.Array], *rest: Any) -> tuple[list[jax.Array], Any]:
        found = function(jax.tree.unflatten(structure, leaves), *rest)
        return (jax.tree.leaves(found[0]), found[1]) if isinstance(found, tuple) else ([], found)

    flat.__name__ = function.__name__  # as profiles and caches show it
    places = (same, meshes.split(mesh), *(same for _ in rest[1:]))
    donated = (0,) if donate else ()
    program = jax.jit(flat, in_shardings=places, out_shardings=same, donate_argnums=donated)
    # Compiled here, it can be kept; of one that came out of JAX's cache XLA writes no functions.
    hits: list[str] = []

    def listen(event: str, **_: Any) -> None:
        if event == _HIT:
            hits.append(event)

    lowered = program.lower(jax.tree.leaves(tree), *rest)
    jax.monitoring.register_event_listener(listen)
    try:
        compiled = lowered.compile()
    finally:
        jax.monitoring.unregister_event_listener(listen)
    if not hits:
        _write(path, compiled)
    return compiled


def _read(path: Path) -> Any:
    """The program that is kept there, or None; a file that is not whole is not looked into."""
    try:
        if path.stat().st_uid != os.getuid():
            raise PermissionError("another user's")
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise ValueError("not as it was written")
        os.utime(path)
        return serialize_executable.deserialize_and_load(*pickle.loads(content[32:]))
    except FileNotFoundError:
        return None
    except Exception as error:  # it can be compiled again
        _log.debug("cannot use %s: %s", path, error)
        return None


def _write(path: Path, program: Any) -> None:
    """Keeps a program, where it can be kept, and removes those that nobody takes any more."""
    try:
        content = pickle.dumps(serialize_executable.serialize(program))
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        whole = hashlib.sha256(content).digest() + content
        files.write_whole(path, lambda file: file.write(whole))
        for other in path.parent.iterdir():
            if time.time() - other.stat().st_mtime > _DAYS * 24 * 3600:
                other.unlink(missing_ok=True)
    except Exception as error:  # the run goes on without
        _log.debug("cannot keep %s: %s", path, error)
