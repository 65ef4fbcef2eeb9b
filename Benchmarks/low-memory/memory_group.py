"""A memory control group with a limit, of version 1 or 2, in which a program is run and watched."""

import os
import subprocess
import tempfile
import time


class Unavailable(Exception):
    """Control groups cannot be made here; says why and what to do."""


def base_folder():
    """(folder in which groups can be made, version)."""
    if os.path.exists("/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        return "/sys/fs/cgroup/memory", 1
    root = "/sys/fs/cgroup"
    if not os.path.exists(f"{root}/cgroup.controllers"):
        raise Unavailable("no control groups are mounted at /sys/fs/cgroup")
    if "memory" not in open(f"{root}/cgroup.controllers").read().split():
        raise Unavailable("the memory controller is not available in /sys/fs/cgroup")
    return root, 2


class MemoryGroup:
    """A new group; removed at the end of a `with`."""

    def __init__(self, limit):
        base, self.version = base_folder()
        self.limit = int(limit)
        self.folder = f"{base}/tessera-low-memory-{os.getpid()}"
        try:
            if self.version == 2:
                control = f"{base}/cgroup.subtree_control"
                if "memory" not in open(control).read().split():
                    open(control, "w").write("+memory")
            os.mkdir(self.folder)
            self.set_limit(self.limit)
            if self.version == 2 and os.path.exists(f"{self.folder}/memory.swap.max"):
                self.write("memory.swap.max", "0")
            elif os.path.exists(f"{self.folder}/memory.swappiness"):
                self.write("memory.swappiness", "0")
        except OSError as error:
            raise Unavailable(
                f"no control group could be made in {base} ({error.strerror}): run as root, or as a "
                "user to whom a group with the memory controller was delegated") from error

    def write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)

    def read(self, name):
        try:
            with open(f"{self.folder}/{name}") as file:
                return file.read()
        except OSError:
            return ""

    def set_limit(self, limit):
        """Bytes; raises OSError where the kernel cannot make the group that small."""
        self.write("memory.max" if self.version == 2 else "memory.limit_in_bytes", str(int(limit)))

    @property
    def peak(self):
        """Most bytes charged so far, page cache included; 0 where the kernel does not say."""
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        return int(self.read(name).strip() or 0)

    def field(self, name, key):
        for line in self.read(name).splitlines():
            words = line.split()
            if len(words) == 2 and words[0] == key:
                return int(words[1])
        return 0

    @property
    def kills(self):
        """Programs of the group that the out-of-memory killer ended."""
        return self.field("memory.events" if self.version == 2 else "memory.oom_control", "oom_kill")

    @property
    def swapped(self):
        return (int(self.read("memory.swap.current").strip() or 0) if self.version == 2
                else self.field("memory.stat", "swap"))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for _ in range(50):
            try:
                os.rmdir(self.folder)
                return
            except OSError:
                time.sleep(0.1)

    def run(self, command, timeout=None, during=None):
        """Runs a program in the group.

        `during(process)` is called while it runs. Returns a dictionary: status (negative: a signal),
        stdout, stderr, seconds, bytes_read (from disks), major_faults, peak_rss_bytes, peak_bytes,
        oom_kills and swapped_bytes (of the group).
        """
        entry = f"{self.folder}/cgroup.procs"

        def join():
            with open(entry, "w") as file:
                file.write(str(os.getpid()))

        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            begin = time.monotonic()
            process = subprocess.Popen(command, stdout=out, stderr=err, preexec_fn=join)
            if during:
                during(process)
            deadline = begin + timeout if timeout else None
            swapped, timed_out = 0, False
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                swapped = max(swapped, self.swapped)
                if deadline and time.monotonic() > deadline and not timed_out:
                    process.kill()
                    timed_out = True
                time.sleep(0.05)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            return {
                "status": process.returncode, "stdout": out.read().decode(errors="replace"),
                "stderr": err.read().decode(errors="replace"),
                "seconds": time.monotonic() - begin, "timed_out": timed_out,
                "bytes_read": usage.ru_inblock * 512, "major_faults": usage.ru_majflt,
                "peak_rss_bytes": usage.ru_maxrss * 1024, "peak_bytes": self.peak,
                "oom_kills": self.kills, "swapped_bytes": swapped,
            }


def forget(path):
    """Drops a file's clean pages from the page cache."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
