"""A PostgreSQL server of our own, on a socket and a port of its own, which can be stopped and started."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from sqlalchemy import create_engine


def programs() -> Path | None:
    """The folder of initdb and postgres: Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


class Postgres:
    def __init__(self, programs: Path) -> None:
        """Made, not started."""
        # Not in pytest's folder: each other pytest that starts closes it to all users but its own.
        self._folder = Path(tempfile.mkdtemp(prefix="hypograph-postgres-"))
        self._data, self._programs = str(self._folder / "data"), programs
        self._as_user: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._folder, "nobody")
            self._as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
        self._port = _free_port()
        self.url = f"postgresql://lab@127.0.0.1:{self._port}/postgres"
        words = ["-D", self._data, "-U", "lab", "-A", "trust", "-E", "UTF8", "--no-sync"]
        initdb = [*self._as_user, str(programs / "initdb"), *words]
        subprocess.run(initdb, check=True, capture_output=True, cwd=self._folder)

    def start(self) -> None:
        words = ["-D", self._data, "-p", str(self._port), "-k", str(self._folder), "-h", "127.0.0.1", "-F"]
        words += ["-c", "timezone=Europe/Berlin"]  # as most are not in UTC
        self.process = subprocess.Popen(
            [*self._as_user, str(self._programs / "postgres"), *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        engine = create_engine(self.url.replace("postgresql://", "postgresql+psycopg://"))
        for _ in range(600):
            try:
                with engine.connect():
                    break
            except Exception:
                time.sleep(0.1)
        else:
            raise RuntimeError("PostgreSQL did not start")
        engine.dispose()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)  # doesn't wait for a connection that was left open, as SIGTERM does
        self.process.wait(30)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)


def _free_port() -> int:
    """Below those that systems give to clients, one of which could take it while the server is stopped."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")
