"""What a sync takes: of a file that grows by it, as the audit does, and of one that is
written over, as the log of the results is once it has its size.

    python3 benches/syncs.py FOLDER

Turn about, 750 times each, with a millisecond between; in milliseconds. FOLDER has to be on
the disk that is meant; two files are made in it and removed.
"""

import os
import sys
import tempfile
import time

ROUNDS = 750
GROWS = b"a" * 8_000
OVER = b"b" * 40_000
ROOM = 8 << 20


def sync(file: int) -> float:
    begun = time.perf_counter()
    os.fdatasync(file)
    return (time.perf_counter() - begun) * 1e3


def main(folder: str) -> None:
    growing, over, both = [], [], []
    with tempfile.TemporaryFile(dir=folder) as audit, tempfile.TemporaryFile(dir=folder) as log:
        audit, log = audit.fileno(), log.fileno()
        os.pwrite(log, bytes(ROOM), 0)
        os.fsync(log)
        at = 0
        for _ in range(ROUNDS):
            os.write(audit, GROWS)
            grown = sync(audit)
            os.pwrite(log, OVER, at)
            written = sync(log)
            growing.append(grown)
            over.append(written)
            both.append(grown + written)
            at = (at + len(OVER)) % (ROOM - len(OVER))
            time.sleep(0.001)
    for name, times in (("grows", growing), ("written over", over), ("both", both)):
        times.sort()
        shares = {share: times[int(len(times) * share)] for share in (0.5, 0.9, 0.99)}
        print(f"{name:>12}", *(f"p{share * 100:.0f} {took:.2f}" for share, took in shares.items()))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
