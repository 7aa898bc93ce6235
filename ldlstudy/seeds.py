"""Seeds: every random number of the study derives from one of these."""

import zlib

import numpy as np


def seed_of(*parts: int | str) -> int:
    """Return a seed that depends on all ``parts``; texts count through their CRC-32.

    Of up to four parts, those of 0 at the end do not: ``seed_of(3, 0)`` is ``seed_of(3)``.
    """
    entropy = [zlib.crc32(p.encode()) if isinstance(p, str) else int(p) for p in parts]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
