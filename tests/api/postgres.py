"""A throw-away PostgreSQL server, as in tests/harness/postgres.mjs."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

# PostgreSQL does not run as root.
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}


def programs():
    """The folder of the server's programs: the newest of Debian's, or what is on the path."""
    found = [path.parent for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path is None:
        raise RuntimeError("PostgreSQL's server programs are missing: on Debian, apt-get install postgresql")
    return pathlib.Path(on_path).parent


class Postgres:
    """Listens on a socket in its folder."""

    def __init__(self):
        base = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.folder = tempfile.TemporaryDirectory(prefix="bursar-api-pg-", dir=base)
        if NOBODY:
            os.chown(self.folder.name, NOBODY["user"], NOBODY["group"])
        data, options = os.path.join(self.folder.name, "data"), {"cwd": self.folder.name, "stdout": subprocess.DEVNULL, **NOBODY}
        make = [programs() / "initdb", "-D", data, "-U", "bursar", "--auth=trust", "--no-sync", "--no-locale", "-E", "UTF8"]
        subprocess.run(make, check=True, **options)
        settings = ["listen_addresses=", "fsync=off", "shared_buffers=32MB", "dynamic_shared_memory_type=mmap"]
        start = [programs() / "postgres", "-D", data, "-k", self.folder.name, *(word for one in settings for word in ("-c", one))]
        self.server = subprocess.Popen(start, stderr=subprocess.DEVNULL, **options)
        socket, end = pathlib.Path(self.folder.name, ".s.PGSQL.5432"), time.monotonic() + 30
        while not socket.exists():
            if self.server.poll() is not None or time.monotonic() > end:
                raise RuntimeError("PostgreSQL does not start")
            time.sleep(0.05)
        self.url = f"postgres://bursar@/postgres?host={self.folder.name}"

    def stop(self):
        """Ends it, with everything in it."""
        self.server.send_signal(signal.SIGINT)
        self.server.wait(timeout=30)
        self.folder.cleanup()
