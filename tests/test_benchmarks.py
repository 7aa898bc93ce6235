"""What the speed benchmarks count and compare, without the clock."""

import pytest
import torch

from ldlstudy.augment import Augmentation
from ldlstudy.batches import batches
from ldlstudy.dataset import Images
from ldlstudy.execution import Execution
from ldlstudy.models import Classifier
from tests.benchmarks import bounds, cs_kd, ldl, turns
from tests.benchmarks import images as bench


def test_operations_are_those_of_he_et_al():
    """ResNet-20: every product of the forward, twice as many backward but into the images."""
    stem = 3 * 16 * 9 * 32**2
    first = 6 * 16 * 16 * 9 * 32**2
    second = (16 * 32 + 5 * 32 * 32) * 9 * 16**2
    third = (32 * 64 + 5 * 64 * 64) * 9 * 8**2
    forward = stem + first + second + third + 64 * bench.CLASSES
    assert bench.operations("resnet20") == 2 * (3 * forward - stem)
    assert bench.operations("resnet20", backward=False) == 2 * forward


def test_both_loops_see_the_same_values():
    """A black image is black wherever it is cropped, so nothing random is left in it."""
    black = Images(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.tensor([4, 7]))
    image, label = bench.Pictures(black)[1]
    ours = bench.AUGMENTATION.train(black.pixels, torch.Generator())
    torch.testing.assert_close(image, ours[1])
    assert label == 7


def test_pictures_keep_each_pixel_in_its_place():
    pixels = bench.random_images(1).pixels[:2]
    pictures = bench.Pictures(Images(pixels, torch.zeros(2, dtype=torch.int64)))
    pictures.transform.transforms[:2] = []  # neither cropped nor flipped
    expected = Augmentation(normalise="cskd").test(pixels)
    torch.testing.assert_close(torch.stack([pictures[0][0], pictures[1][0]]), expected)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("/Optimizer.step#SGD.step/aten::add_", "optimiser"),
        ("/aten::batch_norm/aten::native_batch_norm", "batch norm"),
        ("/aten::conv2d/aten::mkldnn_convolution", "convolution"),
        ("/autograd::engine::evaluate_function: ReluBackward0", "activations, sums"),
        ("/aten::copy_", "copies, casts"),
        ("/aten::randint", "other"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolution"),
        ("void at::native::multi_tensor_apply_kernel<...>", "optimiser"),
        ("/Torch-Compiled Region: 0/0/aten::mkldnn_convolution", "convolution"),
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


@pytest.mark.parametrize(
    ("objective", "others", "passes"),
    [(bench.cross_entropy, (), [True]), (cs_kd.cs_kd(), ("partner",), [True, False])],
)
def test_a_step_of_cs_kd_has_one_pass_more_without_a_gradient(objective, others, passes):
    network, seen = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32**2, 100)), []
    network.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    how = Execution(), objective, others
    assert cs_kd.epoch_seconds(network, bench.random_images(2), *how) > 0
    assert seen == passes * 2


def by_hand(costs):
    """A clock by hand: a warm-up of 50 s, then rounds of 1 s against some ratio."""
    ratios = {"1": 1.4, "2": 2.0, "9": 1.5}
    ticks = iter([50.0, 50.0, *(t for c in costs for t in (1.0, ratios[c]))])
    return lambda *_: next(ticks)


def test_turns_give_the_median_ratio_and_both_rates(capsys):
    clock = by_hand("1129")
    ratio = turns.compare({"one": clock, "other": clock}, 4, 30, "cpu", "note")
    lines = capsys.readouterr().out.splitlines()
    assert ratio == pytest.approx(1.45)
    assert lines == [
        "one: 30 images a CPU second",
        "other: 21 images a CPU second",
        "ratio: 1.45, by round 1.40 to 2.00; note",
    ]


@pytest.mark.parametrize(("costs", "median", "missed"), [("1199", "1.45", 0), ("2229", "2.00", 1)])
def test_the_median_round_of_cs_kd_is_held_against_the_target(
    costs, median, missed, monkeypatch, capsys
):
    monkeypatch.setattr(cs_kd, "epoch_seconds", by_hand(costs))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests keep theirs
    monkeypatch.setattr("sys.argv", ["cs_kd", f"--rounds={len(costs)}"])
    with pytest.raises(SystemExit) as left:
        cs_kd.main()
    assert left.value.code == missed
    assert f"ratio: {median}, by round" in capsys.readouterr().out


def linear():
    return Classifier(torch.nn.Flatten(), torch.nn.Linear(3 * 32**2, bench.CLASSES), 3)


@pytest.mark.parametrize("students", [1, 3])
def test_a_step_of_on_ldl_has_one_pass_of_the_teacher_for_all_students(students):
    teacher, networks, seen = linear(), [linear() for _ in range(students)], []
    images = bench.random_images(2)
    taught = ldl.on_ldl(images, teacher, Execution())
    for name, network in [("teacher", teacher), *(("student", n) for n in networks)]:
        network.register_forward_hook(
            lambda own, inputs, _, name=name: seen.append(
                (name, own.training, torch.is_grad_enabled(), inputs[0])
            )
        )
    assert ldl.epoch_seconds(networks, images, *taught, Execution()) > 0
    first = [("student", True, True), ("teacher", False, False)]
    step = first + [("student", True, True)] * (students - 1)
    assert [how for *how, _ in seen] == [list(how) for how in step * 2]
    views = [view for *_, view in seen]
    assert all(view is views[0] for view in views[: len(step)])
    assert views[len(step)] is not views[0]


def test_on_ldl_learns_what_its_teacher_says_of_the_mixed_images():
    images, draws = bench.random_images(1), torch.Generator().manual_seed(0)
    teacher = linear()
    objective, mixer = ldl.on_ldl(images, teacher, Execution())
    (batch,) = batches(images, bench.BATCH, bench.AUGMENTATION, draws, mixer=mixer)
    student = linear()
    with torch.no_grad():
        taught = teacher(batch.images).softmax(1)
        expected = -(taught * student(batch.images).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(objective(student, batch).detach(), expected)
    assert batch.mixed is not None


@pytest.mark.parametrize(
    ("taught", "ratios", "missed"), [(1.4, ("1.40", "1.12"), 0), (1.5, ("1.50", "1.20"), 1)]
)
def test_on_ldl_is_held_against_the_target_and_students_against_each_other(
    taught, ratios, missed, monkeypatch, capsys
):
    """Vanilla takes a second, four students together five."""

    def by_hand(networks, images, objective, mixer, execution):
        return 1.0 if mixer is None else {1: taught, 4: 5.0}[len(networks)]

    monkeypatch.setattr(ldl, "epoch_seconds", by_hand)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # other tests keep theirs
    monkeypatch.setattr("sys.argv", ["ldl", "--rounds=2", "--steps=1"])
    with pytest.raises(SystemExit) as left:
        ldl.main()
    assert left.value.code == missed
    cost, saving = (line for line in capsys.readouterr().out.splitlines() if "ratio" in line)
    assert cost.startswith(f"ratio: {ratios[0]}, by round")
    assert "by operations 1.33, target" in cost
    assert saving.startswith(f"ratio: {ratios[1]}, by round")
