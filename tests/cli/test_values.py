"""Values on the command line are of the type that what they set has, or are refused."""

import dataclasses
import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import data, methods, mixing, models
from ldlstudy.cli import values
from ldlstudy.experiment import points, records
from ldlstudy.training import Augmentation, Recipe
from tests.cli.invoked import passed

KINDS = {
    "switch": bool,
    "count": int,
    "share": float,
    "name": str,
    "sizes": list[int],
    "size": int | None,
    "rate": float | list[float],
}


def read(*texts):
    return values.read("setting", texts, KINDS)


def typed(value):
    """Return a value with the types in it: True is not 1, and 4 is not 4.0."""
    return repr(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((f"switch={word}", True) for word in ("yes", "true", "True", "TRUE", "on", "1")),
        *((f"switch={word}", False) for word in ("no", "false", "False", "off", "0")),
        ("count=12", 12),
        ("count=010", 10),
        ("share=.1", 0.1),
        ("share=1e-3", 0.001),
        ("share=-2.5", -2.5),
        ("share=4", 4),
        ("share=4.0", 4.0),
        ("name=mean", "mean"),
        ("name='mean'", "mean"),
        ("name=no", "no"),
        ("name=12", "12"),
        ("sizes=[8, 16]", [8, 16]),
        ("sizes=[8]", [8]),
        ("sizes=[]", []),
        ("size=none", None),
        ("size=None", None),
        ("size=64", 64),
        ("rate=.1", 0.1),
        ("rate=[.1, 1, 1e-2]", [0.1, 1, 0.01]),
    ],
)
def test_a_value_has_the_type_of_what_it_sets(text, expected):
    name = text.partition("=")[0]
    assert typed(read(text)) == typed({name: expected})
    quoted = "{'" + name + "': " + text.partition("=")[2] + "}"
    assert typed(read(quoted)) == typed({name: expected})


@given(st.floats(allow_nan=False), st.integers(), st.booleans(), st.lists(st.integers()))
def test_what_python_and_json_print_is_read_back(share, count, switch, sizes):
    given = {"share": share, "count": count, "switch": switch, "sizes": sizes}
    for text in ([f"{name}={value}" for name, value in given.items()], [str(given)]):
        assert typed(read(*text)) == typed(given)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["switch=maybe"], "switch must be yes or no, got 'maybe'"),
        (["switch=2"], "switch must be yes or no, got '2'"),
        (["switch="], "switch must be yes or no, got ''"),
        (["count=true"], "count must be a whole number, got 'true'"),
        (["count=1.5"], "count must be a whole number, got '1.5'"),
        (["share=true"], "share must be a number, got 'true'"),
        (["share=no"], "share must be a number, got 'no'"),
        (["share=[.1]"], "share must be a number, got ['.1']"),
        (["share=0,1"], "share must be a number, got '0,1'"),
        (["name=[a]"], "name must be a name, got ['a']"),
        (["sizes=8"], "sizes must be a list [a, b, ...], each a whole number, got '8'"),
        (["sizes=[a]"], "sizes must be a list [a, b, ...], each a whole number, got ['a']"),
        (["size=small"], "size must be a whole number or none, got 'small'"),
        (["count=none"], "count must be a whole number, got 'none'"),
        (["rate=fast"], "rate must be a number or a list [a, b, ...], each a number, got 'fast'"),
        (["sizes=[8"], "'sizes=[8' cannot be read"),
        (["share"], "a value is given as name=value, got 'share'"),
        ([""], "a value is given as name=value, got ''"),
        (["speed=2"], "unknown setting 'speed'; known: count, name, rate, share, size, sizes, sw"),
        (["{'speed': 2}"], "unknown setting 'speed'"),
        (["share=1", "share=2"], "share is given twice, the second time in 'share=2'"),
    ],
)
def test_what_is_refused_is_named_with_what_is_allowed(texts, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read(*texts)
    assert "\n" not in str(caught.value)


def test_where_nothing_can_be_set_nothing_is_known():
    with pytest.raises(ValueError, match="unknown option of mlp64x5 'a'; known: none"):
        values.read("option of mlp64x5", ["a=1"], values.of_network(points.DATASET, "mlp64x5"))
    with pytest.raises(
        ValueError, match="six_gaussians has no images to be mixed, got 'name=mixup'"
    ):
        values.read_mixing(points.DATASET, ["mixup"])


@pytest.mark.parametrize(
    "texts",
    [
        ["{'name': 'cutmix', 'alpha': 0.5}"],
        ['{"name": "cutmix", "alpha": 0.5}'],
        ["{name: cutmix, alpha: .5}"],
        ["name=cutmix", "alpha=.5"],
        ["alpha=0.5", "cutmix"],
        ["{'name': 'cutmix'}", "alpha=.5"],
    ],
)
def test_a_mixing_is_written_in_several_ways(texts):
    assert values.read_mixing("digits", texts) == {"name": "cutmix", "alpha": 0.5}
    assert values.read_mixing("digits", None) == values.read_mixing("digits", []) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixap", "unknown mixing 'mixap'; known: cutmix, cutout, mixup, ricap"),
        ("alpha=1", "unknown mixing 'None'; known: cutmix, "),
        ("{'name': 'mixup', 'size': 2}", "unknown setting of mixup 'size'; known: alpha, name"),
        ("{'name': 'mixup', 'alpha': yes}", "alpha must be a number, got 'yes'"),
        ("{'name': 'cutout', 'size': 2.5}", "size must be a whole number, got '2.5'"),
        ("{'name'", "cannot be read"),
    ],
)
def test_a_mixing_that_is_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        values.read_mixing("digits", [text])


SETTINGS = [(name, setting) for name, row in methods.METHODS.items() for setting in row.settings]


@pytest.mark.parametrize(("method", "setting"), SETTINGS)
def test_every_setting_of_every_method_has_a_type(method, setting):
    """Its default, where it has one, is of that type; it may be a list of it."""
    known = values.of_settings(method)
    kind = get_args(known[setting])[0]
    assert kind in (bool, int, float, str)
    default = methods.METHODS[method].settings[setting]
    if default is not ...:
        found = values.read("", [f"{setting}={default}"], known)
        assert typed(found) == typed({setting: default})
    listed = values.read("", [f"{setting}=[1, 0]"], known)[setting]
    assert [type(value) for value in listed] == [int if kind is float else kind] * 2


@pytest.mark.parametrize("setting", [Recipe(1), Augmentation()])
def test_the_defaults_of_training_are_of_their_types(setting):
    known = {Recipe: values.of_recipe, Augmentation: values.of_augmentation}[type(setting)]
    fields = {f.name: getattr(setting, f.name) for f in dataclasses.fields(setting)}
    for name, default in fields.items():
        shown = list(default) if isinstance(default, tuple) else default
        found = values.read("", [f"{name}={shown}"], known("digits"))
        assert typed(found) == typed({name: shown})
    assert set(known("digits")) == set(fields)


def test_every_option_of_data_networks_and_points_has_a_type():
    kinds = [values.of_data(name) for name in (*data.available(), points.DATASET)]
    kinds += [values.of_network("digits", name) for name in models.available()]
    kinds += [values.of_recipe(points.DATASET)]
    for name, kind in (each for known in kinds for each in known.items()):
        with pytest.raises(ValueError, match=f"^{name} must be a .*, got {{'a': 'b'}}$|yes or no"):
            values.read("", [name + "={a: b}"], {name: kind})
    assert values.of_data("digits")["held"] is float
    assert set(values.of_recipe(points.DATASET)) == {*points.RECIPE, *points.CHOICE}
    for name in mixing.MIXINGS:
        assert values.read_mixing("digits", [name]) == {"name": name}


def test_a_run_gets_its_values_typed(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").touch()
    monkeypatch.chdir(tmp_path)
    small = ["-d", "train=5", "-d", "test=5", "-t", "epochs=2", "-t", "batch=16",
             "-n", "hidden=[8]", "--device", "cpu"]  # fmt: skip
    network = ("run", "noisy_digits", "small_fcn")
    passed(*network, "ls", *small, "-p", "epsilon=.1", "-m", "{'name': 'mixup'}", "-a", "flip=no",
           "-d", "sigma=.6", "-t", "nesterov=off")  # fmt: skip
    (teacher,) = records.every()
    specification = teacher.specification
    assert specification["settings"] == {"epsilon": 0.1}
    assert specification["mixing"] == {"name": "mixup"}
    assert specification["augmentation"] == {"flip": False}
    assert specification["data"] == {"train": 5, "test": 5, "sigma": 0.6}
    assert specification["recipe"]["nesterov"] is False
    passed(*network, "distil", *small, "-d", "sigma=.6", "-p", "relabel=no", "--teacher",
           teacher.id)  # fmt: skip
    (student,) = (each for each in records.every() if each.id != teacher.id)
    assert student.specification["settings"] == {"relabel": False}
