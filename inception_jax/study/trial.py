"""One trial: `python -m inception_jax.study.trial [--prepare] DIR` runs DIR/config.json.

Its output goes to DIR/log.txt (the launcher's doing); a user's mistake is one line there. With
`--prepare` it makes the data ready and trains nothing. Start-up is paid once a trial, so nothing
is imported that is not needed. (Forking trials from a process that has imported everything was
measured: 4.6 instead of 6.1 s of processor time a trial; not worth its risks.)
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from inception_jax import errors, startup

LEASE_VARIABLE = "INCEPTION_JAX_LEASE"  # TOKEN@PATH, as `lock.fence` gives it
PROCESS_VARIABLE = "INCEPTION_JAX_PROCESS"  # RANK/COUNT@HOST:PORT of one process of several
_PR_SET_PDEATHSIG = 1
_LEASE_SECONDS = 3.0  # between two looks at the lease; a new driver waits longer than that


def tie_to_driver() -> None:
    """Makes this process end when the driver that started it is gone, however it went."""
    token, _, lease = os.environ.get(LEASE_VARIABLE, "").partition("@")
    if token:
        threading.Thread(target=_watch_lease, args=(token, Path(lease)), daemon=True).start()
    driver = int(os.environ.get("INCEPTION_JAX_DRIVER", "0"))
    if not driver:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(driver,), daemon=True).start()
    if os.getppid() != driver:  # it went before the tie held
        os._exit(1)


def _watch(driver: int) -> None:
    while os.getppid() == driver:
        time.sleep(1.0)
    os._exit(1)


def _watch_lease(token: str, path: Path) -> None:
    """Ends this process once another driver has taken the study over and runs the trial itself."""
    while True:
        time.sleep(_LEASE_SECONDS)
        try:
            held = json.loads(path.read_bytes())["token"]
        except (OSError, ValueError, TypeError, KeyError):  # given back, or out of reach for now
            continue
        if held != token:
            print("error: another driver has taken over the study", file=sys.stderr, flush=True)
            os._exit(1)


def addresses(text: str) -> dict[str, str | int]:
    """The keys of `parallel` for RANK/COUNT@HOST:PORT; "" is one process, whatever surrounds it."""
    if not text:
        return {"coordinator": "none", "num_processes": 0, "process_id": -1}
    ranks, _, address = text.partition("@")
    rank, _, count = ranks.partition("/")
    return {"coordinator": address, "num_processes": int(count), "process_id": int(rank)}


def run(folder: Path, prepare: bool = False) -> None:
    """Runs the trial of `folder`, or makes its data ready.

    Raises:
        UserError: the config, the data or the training is at fault.
    """
    from inception_jax import config as config_lib

    try:
        text = (folder / "config.json").read_text(encoding="utf-8")
    except OSError:
        raise errors.UserError(f"{folder} holds no config.json; start the study again") from None
    config = config_lib.from_json(text)
    if prepare:
        from inception_jax import data

        data.load(config.data)
        return
    place = addresses(os.environ.get(PROCESS_VARIABLE, ""))
    if config.eval.members:
        if int(place["process_id"]) > 0:
            return  # one process scores what all have trained
        from inception_jax.evaluate import rescore
        from inception_jax.study.definition import FOLDER_NAME

        arms, seed = folder.resolve().parent.parent, folder.resolve().name
        odd = [name for name in config.eval.members if not FOLDER_NAME.fullmatch(name)]
        if odd:
            raise errors.UserError(f"{odd[0]!r} in {folder}/config.json is no name of an arm")
        rescore.run(config, folder, [arms / name / seed for name in config.eval.members])
        return
    from inception_jax import train
    from inception_jax.train import programs

    programs.enable(apart=False)  # its memory is the trial's, and one of an arm's compiles
    config.parallel.update(place)
    train.run(config, str(folder), progress=False)


def main(arguments: list[str]) -> int:
    """Runs the command line and returns the exit code."""
    tie_to_driver()
    startup.prepare(alone=False)  # the launcher has chosen its devices
    prepare = arguments[:1] == ["--prepare"]
    folders = arguments[1:] if prepare else arguments
    if len(folders) != 1:
        print("usage: python -m inception_jax.study.trial [--prepare] DIR", file=sys.stderr)
        return 2
    try:
        run(Path(folders[0]), prepare)
    except errors.UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _end(code: int) -> NoReturn:
    """Ends the process, whose result is on the disk, without the second that JAX takes to unload.

    One of several processes takes it, to part from the others.
    """
    if os.environ.get(PROCESS_VARIABLE):
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _end(main(sys.argv[1:]))
