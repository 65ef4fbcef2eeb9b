"""How fast a file comes from its disk past the page cache, whatever reads it."""

import mmap
import os
import threading
import time

PIECE = 1 << 20


def read_rate(path, seconds=2.0, threads=8):
    """Bytes per second of sequential O_DIRECT reads, `threads` at a time; (rate, direct)."""
    flags, direct = os.O_RDONLY, True
    try:
        descriptor = os.open(path, flags | os.O_DIRECT)
    except OSError:
        descriptor, direct = os.open(path, flags), False
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    pieces = os.fstat(descriptor).st_size // PIECE
    lock = threading.Lock()
    state = {"next": 0, "bytes": 0}
    begin = time.monotonic()

    def work():
        buffer = mmap.mmap(-1, PIECE)
        while time.monotonic() - begin < seconds:
            with lock:
                piece = state["next"]
                state["next"] += 1
            count = os.preadv(descriptor, [buffer], piece % max(1, pieces) * PIECE)
            with lock:
                state["bytes"] += count

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    elapsed = time.monotonic() - begin
    os.close(descriptor)
    return state["bytes"] / elapsed, direct
