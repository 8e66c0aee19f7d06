"""Make .venv and install a requirements file into it, saying in short lines what happens.

    python3 scripts/install.py requirements.txt
    python3 scripts/install.py benchmarks/requirements-peer.txt .venv-peer      another environment

Run by the Makefile with the system's Python, before anything is installed: standard library only. Checks the Python
version and the free disk first; pip's own words go to a log, which is named if pip fails. A lock keeps two runs apart.
"""

import os
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NAME = sys.argv[2] if len(sys.argv) > 2 else ".venv"
VENV = os.path.join(ROOT, NAME)
PYTHON = os.path.join(VENV, "bin", "python")
LOG = os.path.join(VENV, "install.log")
OLDEST = (3, 11)
GB = 1_000_000_000
NEEDED = 6 * GB  # environment 2 GB, converted model 1.1 GB, 2.5 GB while it is being converted
NEEDED_AGAIN = 1 * GB  # packages are there, a few are changed


def stop(message):
    sys.exit("Hypograph: " + message)


def say(message):
    print(message, flush=True)


def check_python():
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        stop(f"Python 3.11 or newer is needed, {sys.executable} is {version}. Try: make PYTHON=python3.12 …")
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop("this Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv")


def has_torch():
    lib = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return os.path.isdir(os.path.join(VENV, "lib", lib, "site-packages", "torch"))


def check_disk():
    free = shutil.disk_usage(ROOT).free
    needed = NEEDED_AGAIN if has_torch() else NEEDED
    if free < needed:
        stop(
            f"{free / GB:.1f} GB free on the disk of {ROOT}, {needed / GB:.0f} GB needed. Free some space, then repeat."
        )


def make_venv():
    """Make .venv unless a working one of the same Python is there; a half-made or moved one is made again."""
    if os.path.exists(PYTHON):
        same = f"import sys, pip; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
        if subprocess.call([PYTHON, "-c", same], stderr=subprocess.DEVNULL) == 0:
            return
        say(f"The environment in {NAME} does not work with this Python: making it again…")
    if subprocess.call([sys.executable, "-m", "venv", "--clear", VENV]) != 0:
        stop(f"could not make {NAME} (see above)")


def pip_install(requirements):
    """Run pip with its output in LOG; say every 15 seconds what it is at, and on failure the log's last lines."""
    size = "" if has_torch() else " (about 2 GB, more where torch comes with CUDA; a few minutes the first time)"
    say(f"Installing {os.path.basename(requirements)} into {NAME}{size}…")
    command = [PYTHON, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-compile"]
    command += ["-r", requirements]
    start = said = time.monotonic()
    with open(LOG, "w", encoding="utf-8") as log:
        pip = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT)
        try:
            while pip.poll() is None:
                time.sleep(0.2)
                if time.monotonic() - said >= 15:
                    said = time.monotonic()
                    say(f"  {said - start:3.0f} s  {last_step()}")
        except KeyboardInterrupt:
            pip.terminate()
            pip.wait()
            stop("interrupted; the next `make` goes on from here")
    if pip.returncode != 0:
        with open(LOG, encoding="utf-8") as log:
            lines = log.read().strip().splitlines()
        print("\n".join("  " + line[:200] for line in lines[-6:]), file=sys.stderr)
        if any("No space left" in line for line in lines):
            stop("the disk is full: make room, then repeat.")
        stop(f"pip failed; its words are in {os.path.relpath(LOG, ROOT)}. Is there a network? Then repeat.")
    say(f"Installed in {time.monotonic() - start:.0f} s.")


def last_step():
    """What pip is at: the last line of its log that names a package."""
    with open(LOG, encoding="utf-8") as log:
        steps = [line.strip() for line in log if line.startswith(("Collecting", "Installing", "  Downloading"))]
    return (steps[-1] if steps else "starting")[:80]


def main():
    requirements = os.path.join(ROOT, sys.argv[1])
    check_python()
    import fcntl  # after the version check: there is none on Windows, where make is not promised

    with open(__file__, encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_disk()
        make_venv()
        pip_install(requirements)


if __name__ == "__main__":
    main()
