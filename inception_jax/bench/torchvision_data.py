"""How fast torchvision decodes, crops and batches, in a process with torch."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from inception_jax import errors, startup
from inception_jax.bench import photographs

# The same work in torchvision's usual form, printing images a second: its random crop tries ten
# times for a box of this area and ratio. Its wheels' compiled operators need CUDA; no transform
# uses them, so that where they do not load two of them are declared and left empty.
_TORCH = """
import io, json, sys, time
import torch
from PIL import Image
try:
    from torchvision import transforms
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor a, Tensor b, float c) -> Tensor")
    library.define("qnms(Tensor a, Tensor b, float c) -> Tensor")
    from torchvision import transforms
size, workers, batch, seconds, normalise, *names = json.loads(sys.argv[1])
jpegs = [open(name, "rb").read() for name in names]
to_float = [transforms.ConvertImageDtype(torch.float32), transforms.Normalize([0.5] * 3, [0.5] * 3)]
class Data(torch.utils.data.Dataset):
    change = transforms.Compose([
        transforms.RandomResizedCrop(size, scale=(0.05, 1.0), ratio=(0.75, 1.33)),
        transforms.RandomHorizontalFlip(), transforms.PILToTensor(), *to_float * normalise])
    def __len__(self): return 10**9
    def __getitem__(self, i):
        return self.change(Image.open(io.BytesIO(jpegs[i % len(jpegs)])).convert("RGB")), i % 2
def measure():
    batches = iter(torch.utils.data.DataLoader(Data(), batch_size=batch, num_workers=workers))
    for _ in range(6): next(batches)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds / 3:
        count += len(next(batches)[1])
    return count / (time.perf_counter() - start)
print(max(measure() for _ in range(3)))
"""


def measure(
    python: str | Path,
    *,
    seconds: float = 6.0,
    workers: int = 0,
    image_size: int = 299,
    batch_size: int = 32,
    normalise: bool = False,
) -> float:
    """Images a second of torchvision's transforms in a DataLoader, on the same JPEGs.

    Args:
        python: an interpreter that has torch and torchvision.
        seconds: of all three runs together.
        workers: processes; 0 is one a core.
        image_size: side of the result, px.
        batch_size: images a batch.
        normalise: to float32 on the CPU, as is usual there; else the tensors stay uint8, as ours.

    Raises:
        UserError: it has not, or they do not work there.
    """
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for index, content in enumerate(photographs.jpegs()):
            path = Path(folder, f"{index}.jpg")
            path.write_bytes(content)
            names.append(str(path))
        given = [
            image_size,
            workers or startup.cores(),
            batch_size,
            seconds,
            int(normalise),
            *names,
        ]
        command = [str(python), "-c", _TORCH, json.dumps(given)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise errors.UserError(f"cannot run {python}: {error.strerror or error}") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise errors.UserError(f"{python} cannot run torchvision's pipeline: {reason}")
    return float(done.stdout.split()[-1])
