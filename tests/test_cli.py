"""The command line says what is wrong in one line and never shows a traceback."""

import pytest
import typer
from typer.testing import CliRunner

import ldlstudy
from ldlstudy.book import BookError
from ldlstudy.cli import app, one_line_errors

runner = CliRunner()


def test_version():
    result = runner.invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"{ldlstudy.__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["book", "--help"], ["book", "-h"]])
def test_help_stands_alone(arguments):
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0
    assert "book" in result.stdout


def test_an_unknown_profile_is_one_line(toy_book, monkeypatch):
    monkeypatch.chdir(toy_book().root)
    result = runner.invoke(app, ["book", "--profile", "fast"])
    assert result.exit_code == 1
    assert result.stderr == "ldlstudy: unknown profile 'fast'; known: paper, quick, smoke\n"


def test_elsewhere_than_in_the_root_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = runner.invoke(app, ["book"])
    assert result.exit_code == 1
    assert "run this in the repository's root" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (BookError("a.ipynb: cell 2"), 1, "ldlstudy: a.ipynb: cell 2"),
        (ValueError("epsilon"), 1, "ldlstudy: epsilon"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (KeyboardInterrupt(), 130, "ldlstudy: interrupted"),
    ],
)
def test_errors_become_a_line_and_a_code(error, code, message, capsys):
    with pytest.raises(typer.Exit) as caught, one_line_errors():
        raise error
    assert caught.value.exit_code == code
    assert message in capsys.readouterr().err


def test_a_fault_of_the_program_itself_is_not_hidden():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError
