"""How a command fails: one line on the error stream and an exit code, never a traceback."""

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from ldlstudy.book import BookError


@contextmanager
def one_line_errors(kept: str = "what was finished is kept") -> Iterator[None]:
    """Turn what a user can mend into one message and exit code 1, an interruption into 130.

    What batch systems send to end a command is an interruption like Ctrl-C. ``kept`` says what it
    leaves behind. A warning is a line, too.
    """
    try:
        with _stopped_as_interrupted(), warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: typer.echo(
                f"ldlstudy: {message}", err=True
            )
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


@contextmanager
def _stopped_as_interrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
