"""One side of a benchmark: `python -m inception_jax.bench.worker ours|theirs SETTING`.

It answers with lines of JSON: first, after one step, what that took; then for every number of
seconds that it reads the steps it made in them; and at the end what it held.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time

from inception_jax import errors, startup
from inception_jax.bench import setting as settings

_WARM_UP = 3  # steps after the first, which compiles
_CHILDREN = resource.RUSAGE_CHILDREN  # of ours the compiler is the only one


def main(side: str, text: str) -> None:
    """Measures until the input ends."""
    setting = settings.from_json(text)
    # what libraries print must not get between the answers
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**values: object) -> None:
        answers.write(json.dumps(values) + "\n")

    try:
        if side == "ours":
            startup.prepare_for(setting.config, training=setting.measure == "train")
        module = importlib.import_module(f"inception_jax.bench.{side}")
        step = module.prepare(setting)
    except errors.UserError as error:
        answer(error=str(error))
        return
    ready, began = _held(), time.perf_counter()
    step()
    took = time.perf_counter() - began
    answer(compile_seconds=took, ready_bytes=ready, **module.about())
    warm = False
    for line in sys.stdin:
        for _ in range(0 if warm else _WARM_UP):
            step()
        warm = True
        answer(**_round(step, float(line)))
    held = {"peak_bytes": module.device_peak_bytes() or _held(), "compiler_bytes": _held(_CHILDREN)}
    answer(**held, **module.bound(setting))


def _held(of: int = resource.RUSAGE_SELF) -> int:
    """The most bytes that this process has held, or the largest of those that it started."""
    return resource.getrusage(of).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _round(step: object, seconds: float) -> dict[str, float]:
    """Steps for at least so many seconds, and at least two."""
    began, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - began < seconds:
        step()  # pyright: ignore[reportCallIssue]
        count += 1
    return {"steps": count, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    main(*sys.argv[1:])
