"""A trial that trains nothing: a result that depends on arm and seed alone, and planted faults.

    python stand_in.py DIR

Faults come from the file `faults.json` beside the study's folder, as {"ARM/seed-N": "kill-once"}.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path

from inception_jax.study import trial


def accuracy(config: dict, seed: int) -> float:
    site = config["model"]["factorization"]["grid35"]
    effect = {"direct": 0.0, "stacked_3x3": 0.015, "asymmetric": 0.004, "stacked_2x2": -0.02}
    shared = (seed * 37 % 11) / 500
    text = f"{site['strategy']}{site['activation']}{seed}{config['model']['stem_stride']}"
    own = int(hashlib.sha256(text.encode()).hexdigest(), 16) % 1000 / 1e5
    linear = -0.01 if site["activation"] == "linear" else 0.0
    return 0.9 + effect.get(site["strategy"], 0.0) + linear + shared + own


def result(config: dict) -> dict:
    top1 = accuracy(config, config["seed"])
    text = json.dumps(config, sort_keys=True)
    return {
        "config": config,
        "metrics": {
            "test_top1": top1,
            "test_loss": 1 - top1,
            "test_ema_top1": top1 + 0.001,
            "validation_top1": top1 - 0.001,
        },
        "steps": 30,
        "params_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "seconds": 1.5,
        "versions": {"jax": "0.0", "python": "3"},
        "commit": "0123456789abcdef",
        "started": "2026-01-01T00:00:00+00:00",
        "finished": "2026-01-01T00:00:02+00:00",
        "machine": {"cpu": "a stand-in", "cores": 2},
    }


def until(condition) -> None:
    while not condition():
        time.sleep(0.02)


def checkpoint(folder: Path, first: bool) -> None:
    """One whole checkpoint, then the half of one, amid which the machine goes; later, goes on."""
    whole = folder / "checkpoints" / "10"
    if not first:
        (folder / "went-on-from").write_text(whole.name if whole.is_dir() else "nothing")
        return
    whole.mkdir(parents=True)
    (folder / "checkpoints" / "20.partial").mkdir()
    (folder / "checkpoints" / "20.partial" / "half").write_bytes(b"half")
    (folder / "amid").write_text(str(os.getpid()))
    time.sleep(600)


def write_to_full_disk() -> int:
    try:
        with open("/dev/full", "w") as file:
            file.write("x")
    except OSError as error:
        print(f"error: cannot write result.json: {error.strerror}")
    return 1


def stop_when_asked(folder: Path) -> None:
    """As the training loop does: saves, and ends with 75."""

    def stop(number, frame):
        (folder / "checkpoints" / "10").mkdir(parents=True)
        os._exit(75)

    signal.signal(signal.SIGTERM, stop)
    (folder / "amid").write_text(str(os.getpid()))
    time.sleep(600)


def main() -> int:
    trial.tie_to_driver()
    folder = Path(sys.argv[1])
    planted = folder.parents[3] / "faults.json"
    faults = json.loads(planted.read_text()) if planted.exists() else {}
    fault = faults.get(f"{folder.parent.name}/{folder.name}", faults.get("all", ""))
    first = not (folder / "tried").exists()
    (folder / "tried").write_text(str(os.getpid()))
    config = json.loads((folder / "config.json").read_text())
    if fault == "kill" or (fault == "kill-once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "worker-once" and first:  # whoever runs it: a Ray worker, a SLURM task, the driver
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    if fault == "hang":
        time.sleep(600)
    if fault == "wait":
        until(lambda: (folder.parents[3] / "go").exists())
    if fault == "node-once":
        checkpoint(folder, first)
    if fault == "memory":
        held = bytearray(400_000_000)
        held[::4096] = b"x" * len(held[::4096])
        time.sleep(600)
    if fault == "full":
        return write_to_full_disk()
    if fault == "preempt-once" and first:
        stop_when_asked(folder)
    if fault == "nan":
        print("error: the loss is not finite at step 7; last good checkpoint: step 5")
        return 1
    content = result(config)
    if fault == "half" and first:
        (folder / "result.json").write_text(json.dumps(content)[:100])
        return 0
    if fault == "nan-result":
        content["metrics"]["test_top1"] = float("nan")
    top1 = content["metrics"]["test_top1"]
    lines = [
        {"step": step, "epoch": step / 10, "split": "test", "loss": 1.0, "top1": top1 * share}
        for step, share in ((10, 0.8), (20, 0.95), (30, 1.0))
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    (folder / ".result.json.new").write_text(json.dumps(content))
    (folder / ".result.json.new").replace(folder / "result.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
