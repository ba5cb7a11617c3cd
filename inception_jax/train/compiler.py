"""A process that compiles one program for another.

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

from inception_jax.train import program_files

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
        self._apart = apart and program_files.writable(folder)
        self._newest = program_files.newest(folder) if early else None
        pool = ThreadPoolExecutor(1)
        self._reading = pool.submit(program_files.read, self._newest) if self._newest else None
        pool.shutdown(wait=False)
        self._process = _started() if self._apart and early and not self._newest else None

    def read(self, path: Path) -> Any:
        """The program that is kept there, or None."""
        reading, self._reading = self._reading, None
        ahead = reading if path == self._newest else None
        found = ahead.result() if ahead else program_files.read(path)
        if found is not None:
            program_files.taken(path)
            self.close()
        return found

    def compiled(self, recipe: Recipe, tree: Any, rest: tuple[Any, ...], path: Path) -> Any:
        """The program for these arguments, from a process of its own, or None."""
        process, self._process = self._process or (_started() if self._apart else None), None
        if process is None:
            return None
        process.compile((recipe, *jax.tree.map(_shape, (tree, rest)), path))
        return program_files.read(path)

    def close(self) -> None:
        """Ends a process that was not needed."""
        if self._process:
            self._process.close()
        self._process = None


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    weak = getattr(leaf, "weak_type", False)
    return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, weak_type=weak)


class _Process:
    """A process that waits for a request; it ends with this one, however that ends."""

    def __init__(self) -> None:
        if not sys.executable or getattr(sys, "frozen", False):
            raise OSError("there is no interpreter to start")
        paths = os.pathsep.join(filter(None, sys.path))
        with contextlib.ExitStack() as stack:
            self._said = stack.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(
                (sys.executable, "-P", "-m", __name__),  # nothing of the working directory's
                stdin=subprocess.PIPE,
                stdout=self._said,
                stderr=self._said,
                env=os.environ | {"PYTHONPATH": paths},
                start_new_session=True,  # a signal to stop is for the run, which goes on
            )
            stack.pop_all()  # `compile` closes it

    def compile(self, request: Any) -> None:
        """Returns when it has ended; what it could not do is this process's to do."""
        assert self._process.stdin
        try:
            self._process.stdin.write(pickle.dumps(request))
            self._process.stdin.flush()
        except Exception as error:
            _log.debug("cannot ask for a program: %s", error)
            self._process.kill()
        if self._process.wait():
            self._said.seek(0)
            _log.debug("not compiled apart: %s", self._said.read().decode(errors="replace"))
        self.close()

    def close(self) -> None:
        """Ends it, where it still waits."""
        assert self._process.stdin
        with contextlib.suppress(OSError):  # of what it did not read
            self._process.stdin.close()
        with self._process, self._said:  # leaving them waits and closes
            pass


def _started() -> _Process | None:
    try:
        return _Process()
    except OSError as error:
        _log.debug("cannot start a compiler: %s", error)
        return None


def _end_with_parent() -> None:
    os.read(0, 1)  # unbuffered: a thread in a buffered read would hold its lock to the end
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
    # what comes out of JAX's cache cannot be kept, so that each process would ask for it again
    jax.config.update("jax_enable_compilation_cache", False)
    programs.compiled(recipe, mesh, tree, rest, path)
    if not path.exists():
        sys.exit("the program cannot be kept")
    os._exit(0)  # without the second that JAX takes to unload


if __name__ == "__main__":
    main()
