"""The published list of validation images that the paper leaves out of its scores.

ILSVRC 2014 lists 1,762 of the 50,000, by number: the paper's figures are on the other 48,238, which
makes them about 0.2 (top-1) and 0.1 (top-5) points better (paper, section 9).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path
from typing import Any

from inception_jax import errors


@dataclasses.dataclass(frozen=True)
class Blacklist:
    """Images that are listed in a file.

    Attributes:
        path: the file.
        sha256: of the file's content.
        names: its lines: numbers as 17, or names as ILSVRC2012_val_00000017.JPEG.
    """

    path: str
    sha256: str
    names: frozenset[str]

    def has(self, file_name: str) -> bool:
        """Whether an image is listed, by its name or by the number that its name ends with."""
        number = re.search(r"(\d+)\.\w+$", file_name)
        return file_name in self.names or (number is not None and str(int(number[1])) in self.names)

    def about(self, found: int, examples: int) -> dict[str, Any]:
        """For result.json: the file, how many it lists, and how many images that leaves."""
        return {
            "file": self.path,
            "sha256": self.sha256,
            "listed": len(self.names),
            "found": found,
            "images": examples,
            "images_used": examples - found,
        }


def read(path: str) -> Blacklist | None:
    """The list in a file, one number or file name a line; None for the empty path.

    Raises:
        UserError: the file cannot be read, or has another form.
    """
    if not path:
        return None
    try:
        content = Path(path).expanduser().read_bytes()
        lines = content.decode().split()
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UserError(f"cannot read data.blacklist {path}: {error}") from error
    wrong = [line for line in lines if not re.fullmatch(r"\d+|[\w.-]+\.\w+", line)]
    if wrong or not lines:
        what = f"has the line {wrong[0]!r}" if wrong else "is empty"
        raise errors.UserError(
            f"data.blacklist {path} {what}; expected a number or a file name a line"
        )
    names = frozenset(str(int(line)) if line.isdigit() else line for line in lines)
    return Blacklist(path, hashlib.sha256(content).hexdigest(), names)
