"""Commands as a reader types them, which succeed or say in one line what is wrong."""

from typer.testing import CliRunner

from ldlstudy.cli import app


def passed(*arguments: str) -> list[str]:
    """Return the lines that a command that succeeds has to say."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def failed(*arguments: str, before: str = "", told: str = "") -> str:
    """Return the one line of an error, ``before`` which a command says something else.

    What it has ``told`` by then stands where errors do.
    """
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith(before) if before else result.stdout == "", result.stdout
    assert result.stderr.startswith(f"{told}ldlstudy: "), result.stderr
    error = result.stderr.removeprefix(told)
    assert error.count("\n") == 1
    return error
