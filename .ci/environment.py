"""Make ``.venv`` hold the package and some of its extras, in the versions of ``requirements.txt``.

The Makefile calls it in the repository's root with the names of the extras. A whole ``.venv`` costs
a glance. One that lacks an extra or is of an older lock is added to; one that is broken, half made
or was made elsewhere is made anew. `uv` installs where it is on the PATH, pip otherwise; the
variable ``UV`` names another one, and ``UV=`` turns it off.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
STATE = VENV / ".ready"  # written when all is installed, deleted before anything is
LOCK, PROJECT = Path("requirements.txt"), Path("pyproject.toml")
WHERE = "import sys, sysconfig; print(sys.version_info >= (3, 11), sysconfig.get_path('purelib'))"


def main(extras: set[str]) -> None:
    """Leave ``.venv`` as it is, add to it, or make it anew; say which, and why."""
    known = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    if not extras <= known.keys():
        unknown = ", ".join(sorted(extras - known.keys()))
        sys.exit(f"unknown extra {unknown}; known: {', '.join(sorted(known))}")
    uv = os.environ.get("UV", shutil.which("uv"))
    state = _state()
    fault = _fault(state)
    if fault:
        print(f".venv {fault}: making it", flush=True)
        _make(uv)
    elif state["lock"] == _lock():
        if extras <= set(state["extras"]):
            return
        extras |= set(state["extras"])
    _install(sorted(extras), uv)


def _state() -> dict[str, Any]:
    """What the last installation that came to its end has left; empty without one."""
    try:
        return dict(json.loads(STATE.read_text()))
    except (OSError, ValueError):
        return {}


def _fault(state: dict[str, Any]) -> str:
    """Why nothing can be added to ``.venv``; empty if it is whole."""
    if not VENV.exists():
        return "is not there"
    if not state:
        return "is half made"
    if state["folder"] != str(Path.cwd()):  # its scripts name the other folder
        return f"was made in {state['folder']}"
    found = _found()
    if found is None:
        return "has no Python of 3.11 or newer"
    gone = sorted(set(state["files"]) - set(found))
    return f"lacks {', '.join(gone[:3])}" if gone else ""


def _found() -> list[str] | None:
    """What its folders of packages and scripts hold; None if its Python does not run, or is old."""
    try:
        run = subprocess.run([PYTHON, "-c", WHERE], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    enough, packages = run.stdout.strip().split(" ", 1)
    if enough != "True":
        return None
    folders = [folder for folder in (Path(packages), PYTHON.parent) if folder.is_dir()]
    return sorted(each.name for folder in folders for each in folder.iterdir())


def _make(uv: str | None) -> None:
    """Put an empty ``.venv``, with pip, in the place of what there is."""
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)
    if uv:
        _run(uv, "venv", "--quiet", "--seed", "--python", sys.executable, VENV)
    else:
        _run(sys.executable, "-m", "venv", VENV)


def _install(extras: list[str], uv: str | None) -> None:
    """Install the package and ``extras``, and write down that it came to its end."""
    named = f".[{','.join(extras)}]" if extras else "."
    print(f"installing {named} into .venv with {'uv' if uv else 'pip'}: a few minutes", flush=True)
    STATE.unlink(missing_ok=True)
    what = ["--constraint", LOCK, "--editable", named]
    if uv:
        _run(uv, "pip", "install", "--quiet", "--python", PYTHON, *what)
    else:
        patient = ["--disable-pip-version-check", "--timeout", "120", "--retries", "10"]
        quiet = ["--quiet", "--progress-bar", "off"]
        _run(PYTHON, "-m", "pip", *patient, "install", *quiet, *what)
    state = {"folder": str(Path.cwd()), "lock": _lock(), "extras": extras, "files": _found()}
    STATE.write_text(json.dumps(state))


def _lock() -> str:
    """Fingerprint of what is to be installed."""
    return hashlib.sha256(LOCK.read_bytes() + PROJECT.read_bytes()).hexdigest()


def _run(*command: str | Path) -> None:
    """Run a command that shows its own errors; end with a line about it if it fails."""
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f".venv is not ready, the next call begins it anew: {error}")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
