"""A process that compiles one program for another, and what can be done before it is asked to.

`python -m inception_jax.train.compiler` reads a pickled request, writes the program to its place
and ends. A process that compiles for itself steps more slowly afterwards: what compiling leaves
of its heap are thousands of gaps, through which every buffer of a step is then looked for
(Inception-v3 1.2 times, `inception_small` 1.4 times as long a step), and it holds a gigabyte more.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import inception_jax
from inception_jax.train import kept

if TYPE_CHECKING:
    from inception_jax.train.programs import Recipe

_log = logging.getLogger(__name__)


class Ahead:
    """Where a function's program comes from, if not from this process.

    Args:
        folder: the programs of its recipe.
        apart: whether one that is not there is compiled in a process of its own.
        early: whether to begin before the function's arguments are there, and so its program's
            name: the newest program is read, or the process that will compile one starts.
    """

    def __init__(self, folder: Path, *, apart: bool, early: bool) -> None:
        self._apart, self._newest = apart, kept.newest(folder) if early else None
        pool = ThreadPoolExecutor(1)
        self._reading = pool.submit(kept.read, self._newest) if self._newest else None
        pool.shutdown(wait=False)
        self._process = _started() if apart and early and not self._newest else None

    def read(self, path: Path) -> Any:
        """The program that is kept there, or None."""
        if self._reading and path == self._newest:
            return self._reading.result()
        return kept.read(path)

    def compiled(self, recipe: Recipe, tree: Any, rest: tuple[Any, ...], path: Path) -> Any:
        """The program for these arguments, from a process of its own, or None."""
        process, self._process = self._process or (_started() if self._apart else None), None
        if process is None:
            return None
        process.compile((recipe, *jax.tree.map(_shape, (tree, rest)), path))
        return kept.read(path)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype)


class _Process:
    """A process that waits for a request; it ends with this one, however that ends."""

    def __init__(self) -> None:
        root = str(Path(inception_jax.__file__).parents[1])
        paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
        with contextlib.ExitStack() as stack:
            self._said = stack.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                (sys.executable, "-m", __name__),
                stdin=subprocess.PIPE,
                stdout=self._said,
                stderr=self._said,
                env=os.environ | {"PYTHONPATH": paths},
                start_new_session=True,  # a signal to stop is for the run, which goes on
            )
            stack.pop_all()  # `compile` closes it

    def compile(self, request: Any) -> None:
        """Returns when it has ended; what it could not do is this process's to do."""
        with self._process, self._said:
            assert self._process.stdin
            try:
                self._process.stdin.write(pickle.dumps(request))
                self._process.stdin.flush()
            except (OSError, pickle.PicklingError, TypeError, AttributeError) as error:
                _log.debug("cannot ask for a program: %s", error)
                self._process.kill()
                with contextlib.suppress(OSError):  # it tries once more
                    self._process.stdin.close()
            if self._process.wait():
                self._said.seek(0)
                _log.debug("not compiled apart: %s", self._said.read().decode(errors="replace"))


def _started() -> _Process | None:
    try:
        return _Process()
    except OSError as error:
        _log.debug("cannot start a compiler: %s", error)
        return None


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """Compiles what is asked for, unless it would be another program than the one that asks has."""
    from inception_jax.train import cache, programs
    from inception_jax.train import mesh as meshes

    try:
        recipe, tree, rest, path = pickle.load(sys.stdin.buffer)
    except EOFError:  # nothing is needed
        return
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cache.enable()
    programs.enable()
    mesh = meshes.of_all()
    home = programs.home(recipe, mesh)
    if home is None or home / programs.name(tree, rest) != path:
        sys.exit("the program would be another")
    programs.compiled(recipe, mesh, tree, rest, path)
    os._exit(0)  # without the second that JAX takes to unload


if __name__ == "__main__":
    main()
