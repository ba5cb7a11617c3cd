"""`python -m inception_jax` is `inception-jax`."""

from __future__ import annotations

import sys

from inception_jax.cli import main

sys.exit(main())
