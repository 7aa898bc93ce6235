"""How a command fails: one line on the error stream and an exit code, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ldlstudy.book import BookError


@contextmanager
def one_line_errors(kept: str = "what was finished is kept") -> Iterator[None]:
    """Turn what a user can mend into one message and exit code 1, an interruption into 130.

    ``kept`` says what an interruption leaves behind.
    """
    try:
        yield
    except (BookError, ValueError) as error:
        typer.echo(f"ldlstudy: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"ldlstudy: {error}; nothing half-written is kept", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(f"ldlstudy: interrupted; {kept}", err=True)
        raise typer.Exit(130) from None
