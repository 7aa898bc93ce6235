"""What a run names, made ready: its data, its first weights, its own and its teachers' networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar

from ldlstudy import scaling
from ldlstudy.device import Execution
from ldlstudy.experiment import images
from ldlstudy.experiment.prepare import NETWORK, prepare, teacher_of, workplace
from ldlstudy.heads import Cosine
from ldlstudy.training import checkpoints
from tests.experiment.runs import CUTMIX, SIZES, TEACHER, equal, plans, tiny, weights

SECOND = replace(TEACHER, seed=1)
ONLINE = {"relabel": True}


def student(settings=ONLINE, taught_by=(TEACHER,), **options):
    options = {"mixing": CUTMIX, "augmentation": {"shift": 1}, **options}
    return tiny("distil", settings, taught_by, **options)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder where two teachers have been trained."""
    folder = tmp_path_factory.mktemp("runs")
    for run in (TEACHER, SECOND):
        images.execute(plans([run]), work=folder)
    return folder


def ready(run):
    return prepare(run, Execution())


def taught(run, work, known=None):
    return teacher_of(ready(run), work, {} if known is None else known)


def test_weights_lie_in_the_study_under_the_id_of_their_run(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").touch()
    monkeypatch.chdir(tmp_path)
    assert workplace(TEACHER) == tmp_path.resolve() / "runs" / TEACHER.id
    assert workplace(TEACHER, tmp_path / "elsewhere") == tmp_path / "elsewhere" / TEACHER.id


def test_runs_on_the_same_data_share_them():
    one, other = ready(tiny()), ready(tiny("ls", {"epsilon": 0.1}, seed=3, hidden=8))
    assert one.dataset is other.dataset
    assert ready(tiny(data={**SIZES, "draw": 1})).dataset is not one.dataset


def test_a_choice_needs_images_held_out():
    for data in ({**SIZES}, {**SIZES, "held": 0.0}):
        with pytest.raises(ValueError, match="settings to choose from on held-out images"):
            ready(tiny("ls", {"epsilon": [0.1, 0.2]}, data=data))


def test_the_first_weights_follow_the_seed_alone():
    run = tiny()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (ready(each).new_network() for each in (run, run, replace(run, seed=1)))
    assert torch.equal(torch.get_rng_state(), before)
    assert equal(first.state_dict(), again.state_dict())
    assert not equal(first.state_dict(), other.state_dict())


def test_a_network_gets_what_its_method_and_its_options_ask_for():
    assert isinstance(ready(tiny("adacos")).new_network().head, Cosine)
    narrow = replace(TEACHER, network={"hidden": [7]})
    assert ready(tiny("crd", {}, [narrow])).new_network().beside is not None
    dropped = ready(tiny(model="small_cnn", network={"dropout": 0.3})).new_network()
    assert [m.p for m in dropped.modules() if isinstance(m, torch.nn.Dropout)] == [0.3]
    passes = tiny(network={"hidden": [16], "dropout": 0.2, "passes": 5})
    setting = ready(passes)
    assert setting.predictor(setting.new_network()).passes == setting.passes == 5


@pytest.mark.parametrize(
    ("model", "fields", "side"),
    [
        ("lenet", {}, 28),
        ("lenet", {"augmentation": {"crop": 24, "pad": 2}}, 24),
        ("lenet", {"network": {"size": 20}, "augmentation": {"crop": 20}}, 20),
        ("fcn800", {}, 28),
        ("fcn800", {"augmentation": {"crop": 24}}, 24),
        ("alexnet24", {"augmentation": {"crop": 24}}, 24),
    ],
)
def test_a_network_is_built_for_the_images_that_it_is_given(
    model, fields, side, tmp_path, monkeypatch
):
    """Those of the set or, where windows are cut from them, of the window; of one channel."""
    write_fashion_mnist(tmp_path)
    monkeypatch.setenv("LDLSTUDY_DATA", str(tmp_path))
    fields = {"network": {}, "recipe": {"epochs": 1, "rate": 0.01}, **fields}
    run = tiny(dataset="fashion_mnist", model=model, data={}, **fields)
    assert ready(run).new_network()(torch.zeros(2, 1, side, side)).shape == (2, 10)
    (record,) = images.execute(plans([run]), work=tmp_path / "runs")
    assert 0 <= record.values["plain"]["accuracy"] <= 1


def write_fashion_mnist(folder):
    """Write a file of twenty training and twenty test images by the name of the set."""
    rng = np.random.default_rng(0)
    arrays = {"classes": np.array(list("0123456789"))}
    for part in ("train", "test"):
        arrays[f"{part}_images"] = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8)
        arrays[f"{part}_labels"] = np.arange(20) % 10
    np.savez(folder / "fashion_mnist.npz", **arrays)


def test_weights_that_are_not_there(tmp_path):
    message = f"the weights of small_fcn none {TEACHER.id} on noisy_digits are not in .*: run it"
    with pytest.raises(ValueError, match=message):
        ready(TEACHER).trained(tmp_path)
    with pytest.raises(ValueError, match=message):
        images.execute(plans([student()]), work=tmp_path)


@pytest.mark.parametrize("what", ["classes", "sizes", "nothing", "damaged", "another", "no run"])
def test_weights_that_do_not_fit(what, work, tmp_path):
    folder = workplace(TEACHER, tmp_path)
    folder.mkdir()
    state = weights(TEACHER, work)
    if what == "classes":
        state["head.weight"], state["head.bias"] = torch.zeros(4, 32), torch.zeros(4)
    if what == "sizes":
        state = ready(tiny(hidden=8)).new_network().state_dict()
    content = {"network": state, "run": TEACHER.id}
    if what == "nothing":
        del content["network"]
    message = "holds another network than small_fcn with the sizes"
    if what == "another":  # whose sizes are the same
        content["run"] = SECOND.id
        message = f"holds the weights of run {SECOND.id}, not of {TEACHER.id}: delete it and run"
    if what == "no run":
        del content["run"]
        message = f"holds the weights of run None, not of {TEACHER.id}: delete it and run"
    checkpoints.save(folder / NETWORK, **content)
    if what == "damaged":
        (folder / NETWORK).write_bytes((folder / NETWORK).read_bytes()[:300])
        message = "network.pt is damaged"
    with pytest.raises(ValueError, match=message):
        taught(student(), tmp_path)


def test_a_run_without_teachers_has_none(work):
    assert taught(tiny(), work) == (None, ())


def test_teachers_are_the_networks_that_were_trained(work):
    teacher, predictors = taught(student(taught_by=[TEACHER, SECOND]), work)
    train = ready(TEACHER).dataset.train
    with torch.no_grad():
        each = [ready(run).trained(work).eval()(train.pixels) for run in (TEACHER, SECOND)]
    torch.testing.assert_close(teacher.logits, torch.stack(each))
    assert not any(predictor.network.training for predictor in predictors)
    assert len(predictors) == 2
    assert teacher.temperature is None


def test_a_temperature_is_fitted_where_images_are_held_out(tmp_path):
    held = SIZES | {"held": 0.5}
    run = tiny(data=held)
    images.execute(plans([run]), work=tmp_path)
    teacher, _ = taught(tiny("distil", {}, [run], data=held), tmp_path)
    shown = ready(run).dataset.held
    with torch.no_grad():
        logits = ready(run).trained(tmp_path).eval()(shown.pixels)
    expected = scaling.fit_temperature(logits, shown.labels)
    assert teacher.temperature == pytest.approx(expected, rel=1e-4) != 1.0


@pytest.mark.parametrize("own", [{}, {"held": 0.5, "seed": 1}, {"held": 0.25}])
def test_a_teacher_that_held_out_other_images_than_its_student(own, tmp_path):
    """Its temperature would be fitted to images that it was trained on."""
    teacher = tiny(data=SIZES | own)
    images.execute(plans([teacher]), work=tmp_path)
    with pytest.raises(ValueError, match="what is held out must be new to both"):
        taught(tiny("distil", {}, [teacher], data=SIZES | {"held": 0.5}), tmp_path)


def test_a_temperature_is_fitted_to_images_drawn_beside_the_others(work):
    run = tiny("ils1", {"p1": 0.8, "p2": 2.0}, [TEACHER], data=SIZES | {"validation": 9})
    teacher, _ = taught(run, work)
    shown = ready(run).dataset.held
    assert len(shown.labels) == 90
    with torch.no_grad():
        logits = ready(TEACHER).trained(work).eval()(shown.pixels)
    least = minimize_scalar(
        lambda t: float(F.cross_entropy(logits / t, shown.labels)), (0.1, 20), method="bounded",
        bounds=(0.1, 20),
    ).x  # fmt: skip
    assert teacher.temperature == pytest.approx(least, rel=1e-2)


def test_teachers_are_asked_once_for_all_who_share_them(work):
    known = {}
    first, _ = taught(student(), work, known)
    again, _ = taught(student(seed=4), work, known)
    both, _ = taught(student(taught_by=[TEACHER, SECOND]), work, known)
    assert first is again is not both
    assert set(known) == {(TEACHER.id,), (TEACHER.id, SECOND.id)}


def test_a_teacher_sees_images_as_in_its_own_training(work):
    """Its crop and normalisation are not its student's, whose views it would not know."""
    small = tiny(network={"hidden": [16], "shape": [1, 6, 6]},
                 augmentation={"crop": 6, "normalise": "image"})  # fmt: skip
    images.execute(plans([small]), work=work)
    run = tiny("distil", {}, [small])
    teacher, _ = taught(run, work)
    own = ready(small)
    predicted = own.predictor(own.trained(work)).logits(own.dataset.train)
    torch.testing.assert_close(teacher.logits[0], predicted)
    with pytest.raises(ValueError, match=r"crop and normalisation \(6, 'image'\), the views of"):
        taught(replace(run, settings=ONLINE), work)
    with pytest.raises(ValueError, match=r"crop and normalisation \(6, 'image'\), the views of"):
        taught(tiny("wsl", {"weight": 0.5, "temperature": 2.0}, [small]), work)
    shown, _ = taught(tiny("ils2", {"epsilon": 0.1, "teacher_temperature": 4.0}, [small]), work)
    torch.testing.assert_close(shown.logits, teacher.logits)


def test_a_teacher_of_another_data_set(work):
    run = student(dataset="digits", data={})
    message = f"the teacher {TEACHER.id} was trained on noisy_digits, its student's data are digits"
    with pytest.raises(ValueError, match=message):
        taught(run, work)


def test_a_teacher_that_answers_by_chance_answers_its_student_alike_each_time(tmp_path):
    """Monte-Carlo dropout: the student's seed decides the draws."""
    teacher = tiny(network={"hidden": [16], "dropout": 0.5, "passes": 3})
    images.execute(plans([teacher]), work=tmp_path)
    run = student(taught_by=[teacher])
    ((one,), (two,)) = (images.execute(plans([run]), work=tmp_path) for _ in range(2))
    assert one.values == two.values
