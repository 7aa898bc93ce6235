import os
import platform
import re
import subprocess
import sys
import threading
from importlib import metadata

import pytest
import torch
from torch import nn

from ldlstudy import device
from ldlstudy.device import Execution


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"precision": "x"}, "unknown precision 'x'; known: auto, bf16, float32"),
        ({"device": None}, "device must be auto, cpu or cuda, got None"),
        ({"channels_last": "no"}, "channels_last must be true or false, got 'no'"),
        ({"compile": "x"}, "unknown compile 'x'; known: default, no, reduce-overhead"),
        *(
            ({"device": name}, f"device must be auto, cpu or cuda, got '{name}'")
            for name in ("tpu", "mps", "meta", "cuda:x", "")
        ),
        ({"device": "cuda:1"}, "device 'cuda:1' asked for, but torch finds no CUDA GPU"),
    ],
)
def test_settings_are_checked(setting, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        Execution(**setting)


@pytest.mark.parametrize("there", [True, False])
def test_auto_takes_a_gpu_where_there_is_one(there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert Execution(device="auto").device == ("cuda" if there else "cpu")


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_layout_of_images_and_weights(channels_last):
    execution = Execution(channels_last=channels_last)
    kind = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    assert execution.layout(images).is_contiguous(memory_format=kind)
    assert torch.equal(execution.layout(images), images)
    network = execution.place(nn.Conv2d(3, 4, 3))
    assert network.weight.is_contiguous(memory_format=kind)


def test_bf16_is_of_products_alone():
    weights, images = torch.rand(4, 4), torch.rand(4, 4)
    with Execution(precision="bf16").autocast():
        assert (images @ weights).dtype == torch.bfloat16
    with Execution().autocast():
        assert (images @ weights).dtype == torch.float32
    assert weights.dtype == torch.float32


@pytest.mark.parametrize(
    ("found", "settled"),
    [
        ({"amx_bf16": True}, "bf16"),
        ({"avx512_f": True, "avx512_bf16": False}, "float32"),
        ({"bf16": True}, "bf16"),
    ],
)
def test_auto_is_bf16_where_the_processor_has_instructions_for_it(found, settled, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert Execution(precision="auto").precision == settled
    if settled == "float32":
        with pytest.warns(UserWarning, match="has no instructions for bfloat16 and takes some 200"):
            Execution(precision="bf16")


def test_what_torch_compile_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda f, mode: asked.append(mode) or f)
    assert Execution().compiled(abs) is abs
    assert asked == []
    for name in ("default", "reduce-overhead"):
        assert Execution(compile=name).compiled(abs)(-1) == 1
    assert asked == [None, "reduce-overhead"]


def test_the_random_state_comes_back():
    execution = Execution()
    state = execution.random_state()
    first = torch.rand(3)
    execution.set_random_state(state)
    assert torch.equal(torch.rand(3), first)


def test_a_record_says_how_and_on_what_it_was_made():
    execution = Execution(precision="bf16", channels_last=False, threads=3)
    made = execution.circumstances()
    assert (made["precision"], made["channels_last"], made["compile"]) == ("bf16", False, "no")
    assert made["threads"] == torch.get_num_threads()
    with execution.limited():
        assert execution.circumstances()["threads"] == 3
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1, got 0"):
        Execution(threads=0)
    assert made["device"].startswith("CPU, ")
    assert f"{device.cores()} cores" in made["device"]
    assert made["versions"] == {
        name: metadata.version(name) for name in ("ldlstudy", "torch", "numpy", "scipy")
    }
    assert made["source"] == device.source()


def git(folder, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_source_names_the_revision_and_marks_changes(tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    module = package / "device.py"
    module.write_text("1\n")
    monkeypatch.setattr(device, "__file__", str(module))
    assert device.source() == metadata.version("ldlstudy")  # no repository
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    revision = git(tmp_path, "rev-parse", "HEAD")[:12]
    assert device.source() == revision
    (tmp_path / "README.md").write_text("not the package's source")
    assert device.source() == revision
    module.write_text("2\n")
    assert device.source() == revision + "+"
    monkeypatch.setenv("PATH", "")  # no git
    assert device.source() == metadata.version("ldlstudy")


@pytest.fixture
def two_threads():
    """Return 2, what torch is set to during the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def test_parallel_keeps_the_order_and_uses_every_core(monkeypatch):
    monkeypatch.setattr(device, "cores", lambda: 3)
    all_three = threading.Barrier(3, timeout=20)

    def square(n):
        all_three.wait()
        return n * n

    assert device.parallel(square, range(9)) == [n * n for n in range(9)]
    assert device.parallel(square, []) == []


def test_operations_take_one_thread_and_the_setting_comes_back(two_threads):
    assert device.parallel(lambda _: torch.get_num_threads(), range(4)) == [1] * 4
    assert torch.get_num_threads() == two_threads
    with pytest.raises(ZeroDivisionError):
        device.parallel(lambda n: 1 / n, [0])
    assert torch.get_num_threads() == two_threads


PAGES_MADE = """
import resource, torch
from ldlstudy.device import Execution

def work():
    for _ in range(20):
        torch.ones(2**24)

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

first = held()
with Execution("cpu").limited():
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    made = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(made * resource.getpagesize(), held() - first)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library decides by itself")
def test_memory_that_a_step_frees_is_there_for_the_next_and_given_back_at_the_end():
    done = subprocess.run(
        [sys.executable, "-c", PAGES_MADE], capture_output=True, text=True, check=True
    )
    made, held = map(int, done.stdout.split())
    assert made < 20 * 2**26 / 10
    assert held < 2**25


def test_the_first_product_of_a_new_thread_adds_up_like_the_rest(two_threads):
    """OpenMP's limit is set in each thread; a first product on two cores would round otherwise."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, n, 24, generator=generator) for n in (7, 160))
    bias = torch.randn(1, 7, 1, generator=generator)

    def products(_):
        return [torch.baddbmm(bias, a, b.transpose(1, 2)) for _ in range(2)]

    with device.one_thread_an_operation():
        expected = torch.baddbmm(bias, a, b.transpose(1, 2))
        for _ in range(5):
            with device.threads(1) as pool:
                for result in pool.submit(products, 0).result():
                    assert torch.equal(result, expected)


@pytest.mark.parametrize("title", ["title", None])
def test_progress_is_a_sign_of_life(title, monkeypatch, tmp_path, capsys):
    pulse = tmp_path / "pulse"
    monkeypatch.setenv(device.PULSE, str(pulse))
    with device.progress(2, title, "unit") as bar:
        bar.update()  # nobody watches
        assert not pulse.exists()
        pulse.touch()
        os.utime(pulse, (0, 0))
        bar.update(0)
        assert pulse.stat().st_mtime > 0


def test_a_hidden_bar_says_to_who_watches_what_is_at_work_and_how_long_is_left(
    monkeypatch, tmp_path, capsys
):
    pulse = tmp_path / "pulse"
    monkeypatch.setenv(device.PULSE, str(pulse))
    monkeypatch.setenv("LDLSTUDY_PROGRESS", "0")
    pulse.touch()
    with device.progress(4, "training", "run") as bar, device.progress(9, None, "image") as inner:
        inner.update(9)
        bar.update(1)
        bar.refresh()
        assert re.fullmatch(r"training: 1 of 4 runs, [\d:]+ left", pulse.read_text())
    assert capsys.readouterr() == ("", "")


def test_progress_can_be_turned_off(monkeypatch, capsys):
    with device.progress(3, "title", "unit") as bar:
        bar.update(3)
    assert "title" in capsys.readouterr().err
    monkeypatch.setenv("LDLSTUDY_PROGRESS", "0")
    for title in ("title", None):
        with device.progress(3, title, "unit") as bar:
            bar.update(3)
    assert capsys.readouterr().err == ""
