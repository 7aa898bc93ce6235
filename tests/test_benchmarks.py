"""What the speed benchmarks count and compare, without the clock."""

import functools
import sys

import pytest
import torch

from ldlstudy.data import Images
from ldlstudy.device import Execution
from ldlstudy.models import Classifier
from ldlstudy.training import Augmentation
from tests.benchmarks import bounds, cs_kd, images, ldl, metrics, turns


def test_operations_are_those_of_he_et_al():
    """ResNet-20: every product of the forward, twice as many backward but into the images."""
    stem = 3 * 16 * 9 * 32**2
    first = 6 * 16 * 16 * 9 * 32**2
    second = (16 * 32 + 5 * 32 * 32) * 9 * 16**2
    third = (32 * 64 + 5 * 64 * 64) * 9 * 8**2
    forward = stem + first + second + third + 64 * images.CLASSES
    assert images.operations("resnet20") == 2 * (3 * forward - stem)
    assert images.operations("resnet20", backward=False) == 2 * forward


def test_both_loops_see_the_same_values():
    """A black image is black wherever it is cropped, so nothing random is left in it."""
    black = Images(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.tensor([4, 7]))
    image, label = images.Pictures(black)[1]
    ours = images.AUGMENTATION.train(black.pixels, torch.Generator())
    torch.testing.assert_close(image, ours[1])
    assert label == 7


def test_pictures_keep_each_pixel_in_its_place():
    pixels = images.random_images(1).pixels[:2]
    pictures = images.Pictures(Images(pixels, torch.zeros(2, dtype=torch.int64)))
    pictures.transform.transforms[:2] = []  # neither cropped nor flipped
    expected = Augmentation(normalise="cskd").test(pixels)
    torch.testing.assert_close(torch.stack([pictures[0][0], pictures[1][0]]), expected)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("/Optimizer.step#SGD.step/aten::add_", "optimiser"),
        ("/aten::batch_norm/aten::native_batch_norm", "batch norm"),
        ("/aten::conv2d/aten::mkldnn_convolution", "convolution"),
        ("/aten::copy_", "copies, casts"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolution"),
        ("void at::native::multi_tensor_apply_kernel<...>", "optimiser"),
        ("/Torch-Compiled Region: 0/0/## Call CompiledFxGraph f3 ##", "compiled"),
        ("triton_red_fused__native_batch_norm_legit_functional_2", "compiled"),
    ],
)
def test_time_goes_to_its_part(name, part):
    shares = bounds.shares({name: 3.0, "/aten::detach": 1.0})
    assert sum(shares.values()) == pytest.approx(1)
    assert shares[next(key for key in shares if key.startswith(part))] >= 0.75


def test_profile_names_the_callers():
    times = bounds.profiled(lambda: torch.ones(2), "cpu")
    assert times["/aten::ones/aten::empty"] > 0


def linear() -> Classifier:
    return Classifier(torch.nn.Flatten(), torch.nn.Linear(3 * 32**2, images.CLASSES), 3)


def passes(networks: dict[str, Classifier]) -> list[tuple[str, bool, bool, torch.Tensor]]:
    """A list that the passes of whole batches will fill: whose, in training, with a gradient."""
    seen: list[tuple[str, bool, bool, torch.Tensor]] = []

    def note(name: str, network: Classifier, given: tuple[torch.Tensor]) -> None:
        if len(given[0]) == images.BATCH:
            seen.append((name.split()[0], network.training, torch.is_grad_enabled(), given[0]))

    for name, network in networks.items():
        network.register_forward_pre_hook(functools.partial(note, name))
    return seen


def bench(rounds: int = 1) -> turns.Bench:
    return turns.Bench(images.random_images(2), Execution(), rounds)


@pytest.mark.parametrize(("method", "gradients"), [((), [True]), (cs_kd.METHOD, [True, False])])
def test_a_step_of_cs_kd_has_one_pass_more_without_a_gradient(method, gradients):
    network = linear()
    seen = passes({"student": network})
    assert bench().seconds([network], None, *method) > 0
    assert [gradient for *_, gradient, _ in seen] == gradients * 2


@pytest.mark.parametrize("students", [1, 3])
def test_a_step_of_on_ldl_has_one_pass_of_the_teacher_for_all_students(students):
    teacher, networks = linear(), {f"student {i}": linear() for i in range(students)}
    on_ldl = ldl.taught(bench(), teacher)
    seen = passes({"teacher": teacher, **networks})
    assert bench().seconds(list(networks.values()), *on_ldl) > 0
    step = [("student", True, True), ("teacher", False, False)]
    step += [("student", True, True)] * (students - 1)
    assert [how for *how, _ in seen] == [list(how) for how in step * 2]
    views = [view for *_, view in seen]
    assert all(view is views[0] for view in views[: len(step)])
    assert views[len(step)] is not views[0]


def test_turns_give_the_median_ratio_and_both_rates(capsys):
    """By a clock of ours: a warm-up of 50 s, then rounds of 1 s against these."""
    ticks = iter([50.0, 50.0, 1.0, 1.4, 1.0, 1.4, 1.0, 2.0, 1.0, 1.5])
    runs = dict.fromkeys(("one", "other"), lambda: next(ticks))
    assert bench(4).compare(runs, "so", networks=2) == pytest.approx(1.45)
    assert capsys.readouterr().out.splitlines() == [
        "one: 512 images a CPU second",
        "other: 353 images a CPU second",
        "ratio: 1.45, by round 1.40 to 2.00; so",
    ]


@pytest.mark.parametrize(
    ("name", "taken", "ratios"),
    [
        ("cs_kd", 1.4, ["1.40"]),
        ("cs_kd", 1.5, ["1.50"]),
        ("ldl", 1.4, ["1.40", "1.12"]),
        ("ldl", 1.5, ["1.50", "1.20"]),
    ],
)
def test_a_method_is_held_against_its_target(name, taken, ratios, monkeypatch, capsys):
    """Cross entropy takes a second, four students of On-LDL together five."""

    def by_hand(bench, networks, mixing=None, *method):
        return {1: taken, 4: 5.0}[len(networks)] if method else 1.0

    monkeypatch.setattr(turns.Bench, "seconds", by_hand)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests keep theirs
    monkeypatch.setattr("sys.argv", [name, "--rounds=2", "--steps=1"])
    with pytest.raises(SystemExit) as left:
        {"cs_kd": cs_kd, "ldl": ldl}[name].main()
    assert left.value.code == (taken > 1.45)
    found = [line for line in capsys.readouterr().out.splitlines() if "ratio" in line]
    assert [line.split(",")[0] for line in found] == [f"ratio: {ratio}" for ratio in ratios]
    assert "target at most 1.45" in found[0]
    assert name == "cs_kd" or "by operations 1.33, target" in found[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_is_what_a_run_adds_at_its_peak():
    """Whether it lets go of it again or not, and whatever was held before."""

    def run():
        for _ in range(3):
            torch.ones(16, metrics.MIB)  # of four bytes each

    before = torch.ones(32, metrics.MIB)
    assert metrics.cost(run, 3).memory / metrics.MIB == pytest.approx(64, abs=8)
    assert before.sum() == 32 * metrics.MIB
    assert metrics.cost(lambda: None, 1).memory / metrics.MIB < 1


def test_the_least_of_several_costs():
    costs = [metrics.Cost(2.0, 10), metrics.Cost(1.0, 30), metrics.Cost(3.0, 20)]
    assert metrics.least(costs) == (1.0, 10)
