"""How fast devices are, for a plan: peak, and the share of it that training an Inception reaches.

A share is either from a published measurement of Inception-v3 training, with the arithmetic below,
or assumed; a plan prints which. FLOP are 6 a MAC of the forward pass (`bench.peak`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from inception_jax import errors


@dataclass(frozen=True)
class Device:
    """One device of a plan.

    Attributes:
        name: as on the command line.
        label: as it is printed.
        peak: FLOP/s of dense matrix products, without sparsity.
        share: of the peak, that training reaches.
        source: where peak and share come from.
    """

    name: str
    label: str
    peak: float
    share: float
    source: str

    def hours(self, flop: float) -> float:
        """Device-hours of so many FLOP of training."""
        return flop / (self.peak * self.share) / 3600


HERE = "here"
# Measured: docs/results/factorization as of 24 November 2026 (commit e8e3f1d): 40 trials of 8.3 s
# and 7.1e10 MAC, with their start, are 17 GFLOP/s of the 100 that products reach on one EPYC core.
_HERE_SHARE = 0.17
_ASSUMED = 0.20  # of the tensor cores' or the matrix unit's peak, where nobody's figure is at hand

_SHEETS = (
    # name, label, peak in TFLOP/s, which peak
    ("v100", "NVIDIA V100", 125.0, "fp16 tensor cores"),
    ("a100", "NVIDIA A100", 312.0, "bf16 tensor cores"),
    ("h100", "NVIDIA H100 SXM", 989.0, "bf16 tensor cores"),
    ("h200", "NVIDIA H200 SXM", 989.0, "bf16 tensor cores"),
    ("rtx4090", "NVIDIA RTX 4090", 165.0, "bf16 tensor cores, float32 sums"),
    ("tpu-v3", "TPU v3 chip", 123.0, "bf16"),
    ("tpu-v4", "TPU v4 chip", 275.0, "bf16"),
    ("tpu-v5e", "TPU v5e chip", 197.0, "bf16"),
)
# TensorFlow's published benchmarks (May 2017): Inception-v3, batch 64 a GPU, float32, synthetic
# data: 142 images/s on one P100 of a DGX-1 and 30.5 on one GPU of a K80. Times 6 x 5.713 GFLOP.
_PUBLISHED = "vendor's float32 peak; share from TensorFlow's benchmarks of Inception-v3, 2017"
_MEASURED = (
    Device("kepler", "half an NVIDIA K80 (Kepler, as the paper's)", 2.8e12, 0.37, _PUBLISHED),
    Device("p100", "NVIDIA P100 SXM2", 10.6e12, 0.46, _PUBLISHED),
)
DEVICES: dict[str, Device] = {
    device.name: device
    for device in (
        Device(HERE, "this machine", 0.0, _HERE_SHARE, ""),
        *_MEASURED,
        *(
            Device(name, label, 1e12 * peak, _ASSUMED, f"vendor's peak, {kind}; share assumed")
            for name, label, peak, kind in _SHEETS
        ),
    )
}


def check(name: str) -> None:
    """Nothing, where there is such a device.

    Raises:
        UsageError: unknown name.
    """
    if name not in DEVICES:
        raise errors.unknown("device", name, DEVICES)


def find(name: str) -> Device:
    """The device of that name; of this machine, its peak is measured first (about a second).

    Raises:
        UsageError: unknown name.
    """
    check(name)
    return _here() if name == HERE else DEVICES[name]


def _here() -> Device:
    import jax
    from jax.sharding import Mesh

    from inception_jax.bench import peak

    devices = jax.devices()
    reached = peak.matrix_product_peak(Mesh(devices, ("batch",)))
    kind = f"{len(devices)} x {devices[0].device_kind}" if len(devices) > 1 else ""
    label = f"this machine ({kind or devices[0].device_kind})"
    source = (
        "peak measured just now, float32 matrix products; share measured on small trials on an "
        "AMD EPYC, their start included"
    )
    return replace(DEVICES[HERE], label=label, peak=reached, source=source)
