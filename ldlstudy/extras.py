"""What a plain install leaves out: the packages of the extras that ``pyproject.toml`` names."""

import contextlib
from collections.abc import Iterator


class Missing(ModuleNotFoundError, ValueError):
    """A package of an extra that is not installed: an import fails by it, a command says it."""


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Let a package of an ``extra`` that is not installed be an error that says how to get it.

    What follows imports it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "ldlstudy" or isinstance(error, Missing):
            raise
        raise Missing(
            f'this needs {package}, which is not installed: pip install "ldlstudy[{extra}]"'
        ) from None
