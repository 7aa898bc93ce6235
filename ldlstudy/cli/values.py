"""What ``name=value`` on the command line says, read by the type that what it sets has.

The types are those of the package itself: the annotations of a method's step or label, of a data
set, a network or a mixing, and the fields of a recipe and an augmentation.
"""

import inspect
import os
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from ldlstudy import checks, data, methods, mixing, models
from ldlstudy.data import own
from ldlstudy.experiment import images, points, translation
from ldlstudy.models.transformer import Transformer
from ldlstudy.training import Augmentation, Recipe, ensemble

Types = Mapping[str, Any]
WORDS = {bool: "yes or no", int: "a whole number", float: "a number", str: "a name"}
WORDS[types.NoneType] = "none"


def read(kind: str, given: Iterable[str] | None, known: Types) -> dict[str, Any]:
    """Return the values by name of what is given as ``name=value`` or ``{name: value, ...}``.

    Values are written as in YAML, and so as in JSON or with Python's quotes. What is not ``known``,
    given twice, or not of its type is a ValueError.
    """
    values: dict[str, Any] = {}
    for text in given or ():
        for name, value in _pairs(text):
            if name not in known:
                names = ", ".join(sorted(known)) or "none"
                raise ValueError(f"unknown {kind} {name!r}; known: {names}")
            if name in values:
                raise ValueError(f"{name} is given twice, the second time in {text!r}")
            values[name] = _typed(name, value, known[name])
    return values


def read_mixing(dataset: str, given: Iterable[str] | None) -> dict[str, Any]:
    """Return the name and the settings of a mixing; what is no pair is its name."""
    texts = [text if set("={") & set(text) else f"name={text}" for text in given or ()]
    if not texts:
        return {}
    if not images.takes(dataset):
        raise ValueError(f"{dataset} has no images to be mixed, got {texts[0]!r}")
    name = next((value for text in texts for key, value in _pairs(text) if key == "name"), None)
    draw, _ = mixing.MIXINGS[checks.one_of("mixing", str(name), mixing.MIXINGS)]
    taken = {"name": str} | _annotations(draw, ("images", "generator"))
    return read(f"setting of {name}", texts, taken)


def read_data(dataset: str, given: Iterable[str] | None) -> tuple[str, dict[str, Any]]:
    """Return a data set's name and its options; of one at a path also that and its fingerprint."""
    options = read(f"option of {dataset}", given, of_data(dataset))
    if dataset in points.DATASETS or not own.is_path(dataset, data.available()):
        return dataset, options
    path = os.path.normpath(dataset)  # the folder is the same one by each of its names
    if os.sep not in path:
        path = os.path.join(os.curdir, path)
    return data.called(dataset), {"path": path, "files": own.fingerprint(dataset)} | options


def _pairs(text: str) -> Iterator[tuple[str, Any]]:
    """Each name with its value: text, or lists of it, as yet without a type."""
    name, equals, value = ("", "", text) if text.lstrip().startswith("{") else text.partition("=")
    try:
        tree = yaml.load(value, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{text!r} cannot be read: {' '.join(str(error).split())}") from None
    if equals:
        yield name.strip(), "" if tree is None else tree
    elif isinstance(tree, dict):
        yield from tree.items()
    else:
        raise ValueError(f"a value is given as name=value, got {text!r}")


def _typed(name: str, value: Any, kind: Any) -> Any:
    if types.NoneType in get_args(kind) and value in ("none", "None", "null"):
        return None
    try:
        return _as_written(TypeAdapter(kind).validate_python(value), value)
    except ValidationError:
        raise ValueError(f"{name} must be {_in_words(kind)}, got {value!r}") from None


def _as_written(value: Any, text: Any) -> Any:
    """A number that was written as a whole one stays whole: a run's id tells 4 from 4.0."""
    if isinstance(value, list):
        return [_as_written(*each) for each in zip(value, text, strict=True)]
    return int(value) if isinstance(value, float) and re.fullmatch("[+-]?[0-9]+", text) else value


def _in_words(kind: Any) -> str:
    if kind in WORDS:
        return WORDS[kind]
    inner = [_in_words(each) for each in get_args(kind)]
    if isinstance(kind, types.UnionType):
        return " or ".join(inner)
    return f"a list [a, b, ...], each {inner[0]}"


def of_settings(method: str) -> Types:
    """Types of a method's settings, each of which may be a list to choose from."""
    row = methods.named(method)
    found = _annotations(row.step)
    if row.label is not None:
        found |= _annotations(row.label) | {"teacher_temperature": float, "magnitude": str}
    return {name: found[name] | types.GenericAlias(list, (found[name],)) for name in row.settings}


def of_recipe(dataset: str) -> Types:
    """Types of the settings of training."""
    if images.takes(dataset):
        return get_type_hints(Recipe)
    if dataset in translation.DATASETS:
        return {name: type(value) for name, value in translation.RECIPE.items()}
    hints = {"rate": float, "held": str, "restart": list[int]} | get_type_hints(ensemble.Settings)
    return {name: hints[name] for name in (*points.RECIPE, *points.CHOICE)}


def of_data(dataset: str) -> Types:
    """Types of the options of a data set."""
    if dataset in points.DATASETS:
        known = points.DATA if dataset == points.DATASET else {}
        return {name: type(value) for name, value in known.items()}
    if dataset in translation.DATASETS:
        return translation.options_of(dataset)
    return data.options_of(dataset)


def of_network(dataset: str, model: str) -> Types:
    """Types of the options of a network; those on points have none."""
    if dataset in points.DATASETS:
        return {}
    if dataset in translation.DATASETS:
        return _annotations(Transformer, ("source", "target"))
    taken = {n: kind for n, kind in models.options_of(model).items() if n != "shape"}
    return {"dropout": float, "passes": int} | taken


def of_augmentation(dataset: str) -> Types:
    """Types of what is done to images; points and sentences are left as they are."""
    return get_type_hints(Augmentation) if images.takes(dataset) else {}


def _annotations(function: Callable[..., Any], others: Iterable[str] = ()) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    return {name: p.annotation for name, p in parameters.items() if name not in others}
