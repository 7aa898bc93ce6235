"""Files of the study: where it lies, how its files are written, and how its numbers are rounded."""

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIGNIFICANT = 6  # significant digits of a stored number
FIGURE_DIGITS = 4  # of one that only a picture shows


def root() -> Path:
    """Return the study's top folder: the nearest from here upwards that holds ``_config.yml``."""
    here = Path.cwd().resolve()
    for candidate in (here, *here.parents):
        if (candidate / "_config.yml").is_file():
            return candidate
    raise ValueError(
        f"no _config.yml in {here} or above it: run this inside a checkout of the study"
    )


def write(file: Path, content: str | bytes) -> Path:
    """Write ``content`` under a temporary name and rename it: no half file is ever read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return file


def publish(chapter: str, values: Mapping[str, float | str]) -> Path:
    """Write the numbers that a chapter's prose quotes, ``book/numbers/<chapter>.json``."""
    text = json.dumps(rounded(dict(values)), indent=1, sort_keys=True, allow_nan=False)
    return write(root() / "book" / "numbers" / f"{chapter}.json", text + "\n")


def rounded(value: Any, digits: int = SIGNIFICANT) -> Any:
    """Round floats to ``digits`` significant digits, through lists and dictionaries."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, list | tuple):
        return [rounded(v, digits) for v in value]
    if isinstance(value, dict):
        return {k: rounded(v, digits) for k, v in value.items()}
    return value
