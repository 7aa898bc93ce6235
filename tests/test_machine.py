import subprocess
import threading

import pytest
import torch

from ldlstudy import machine


@pytest.fixture
def two_threads():
    """Return 2, what torch is set to during the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_parallel_keeps_the_order_and_uses_every_core(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 3)
    all_three = threading.Barrier(3, timeout=20)

    def square(n):
        all_three.wait()
        return n * n

    assert machine.parallel(square, range(9)) == [n * n for n in range(9)]
    assert machine.parallel(square, []) == []


def test_operations_take_one_thread_and_the_setting_comes_back(two_threads):
    counts = machine.parallel(lambda _: torch.get_num_threads(), range(4))
    assert counts == [1] * 4
    assert torch.get_num_threads() == two_threads

    def fail(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        machine.parallel(fail, range(4))
    assert torch.get_num_threads() == two_threads
    with machine.one_thread_an_operation():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == two_threads


def test_the_first_product_of_a_new_thread_adds_up_like_the_rest(two_threads):
    """OpenMP's limit is set in each thread; a first product on two cores would round otherwise."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, n, 24, generator=generator) for n in (7, 160))
    bias = torch.randn(1, 7, 1, generator=generator)

    def products(_):
        return [torch.baddbmm(bias, a, b.transpose(1, 2)) for _ in range(2)]

    with machine.one_thread_an_operation():
        expected = torch.baddbmm(bias, a, b.transpose(1, 2))
        for _ in range(5):
            with machine.threads(1) as pool:
                for result in pool.submit(products, 0).result():
                    assert torch.equal(result, expected)


def test_circumstances():
    made = machine.circumstances("cpu", 1.5)
    assert made["seconds"] == 1.5
    assert made["versions"]["torch"] == torch.__version__.split("+")[0]
    assert set(made["versions"]) == {"ldlstudy", "torch", "numpy", "scipy"}
    assert f"{machine.cores()} cores" in made["device"]
    assert made["source"] == machine.source()


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_source_names_the_revision_and_marks_changes(tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    module = package / "machine.py"
    module.write_text("1\n")
    monkeypatch.setattr(machine, "__file__", str(module))
    assert machine.source() == machine._version("ldlstudy")  # no repository: the version
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    revision = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert machine.source() == revision
    (tmp_path / "README.md").write_text("not the package's source")
    assert machine.source() == revision
    module.write_text("2\n")
    assert machine.source() == revision + "+"


def test_source_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine.source() == machine._version("ldlstudy")


def test_a_package_that_is_not_installed():
    assert machine._version("no-such-distribution-here") == "not installed"


def test_progress_can_be_turned_off(monkeypatch, capsys):
    with machine.progress(3, "title", "unit") as bar:
        bar.update(3)
    assert "title" in capsys.readouterr().err
    monkeypatch.setenv("LDLSTUDY_PROGRESS", "0")
    for title in ("title", None):
        with machine.progress(3, title, "unit") as bar:
            bar.update(3)
    assert capsys.readouterr().err == ""
