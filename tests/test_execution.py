import pytest
import torch
from torch import nn

from ldlstudy.execution import Execution


def test_settings_are_checked():
    for setting, message in {
        "precision": "unknown precision 'x'; known: bf16, float32",
        "compile": "unknown compile 'x'; known: default, no, reduce-overhead",
    }.items():
        with pytest.raises(ValueError, match=message):
            Execution(**{setting: "x"})


@pytest.mark.parametrize("device", ["tpu", "mps", "meta", "cuda:x", ""])
def test_an_unknown_device(device):
    with pytest.raises(ValueError, match=f"device must be auto, cpu or cuda, got '{device}'"):
        Execution(device=device)


@pytest.mark.parametrize("there", [True, False])
def test_auto_takes_a_gpu_where_there_is_one(there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert Execution(device="auto").device == ("cuda" if there else "cpu")


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda:1' asked for, but torch finds no CUDA GPU"):
        Execution(device="cuda:1")


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_layout_of_images_and_weights(channels_last):
    execution = Execution(channels_last=channels_last)
    kind = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    assert execution.layout(images).is_contiguous(memory_format=kind)
    torch.testing.assert_close(execution.layout(images), images)
    network = execution.place(nn.Conv2d(3, 4, 3))
    assert network.weight.is_contiguous(memory_format=kind)


def test_bf16_is_of_products_alone():
    weights, images = torch.rand(4, 4), torch.rand(4, 4)
    with Execution(precision="bf16").autocast():
        assert (images @ weights).dtype == torch.bfloat16
    with Execution().autocast():
        assert (images @ weights).dtype == torch.float32
    assert weights.dtype == torch.float32


def test_what_torch_compile_is_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda f, mode: asked.append(mode) or f)
    assert Execution().compiled(abs) is abs
    assert asked == []
    for name in ("default", "reduce-overhead"):
        assert Execution(compile=name).compiled(abs)(-1) == 1
    assert asked == [None, "reduce-overhead"]


def test_a_record_says_how_it_was_executed():
    made = Execution(precision="bf16", channels_last=False).circumstances(2.5)
    assert (made["seconds"], made["precision"], made["channels_last"]) == (2.5, "bf16", False)
    assert (made["compile"], made["threads"]) == ("no", torch.get_num_threads())
    assert made["device"].startswith("CPU, ")
    assert torch.__version__.startswith(made["versions"]["torch"])
