import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import mixers, mixing
from ldlstudy.mixers import mixer

IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
OPTIONS = {
    "cutout": {"size": 4},
    "mixup": {"alpha": 0.4},
    "cutmix": {"alpha": 0.7, "probability": 0.5},
    "ricap": {"alpha": 2.0},
}


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", mixers.MIXINGS)
@pytest.mark.parametrize("own", [False, True])
def test_a_name_is_its_function_with_its_options(name, own):
    options = OPTIONS[name] if own else {}
    mixed = mixer({"name": name, **options})(IMAGES, seeded())
    direct = getattr(mixing, name)(IMAGES, seeded(), **options)
    for ours, theirs in zip(mixed, direct, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", mixers.MIXINGS)
def test_options_change_what_is_drawn(name):
    plain, other = (mixer({"name": name, **o}) for o in ({}, OPTIONS[name]))
    assert not torch.equal(plain(IMAGES, seeded()).images, other(IMAGES, seeded()).images)


def test_as_many_images_as_an_image_has_parts():
    parts = {name: len(mixer({"name": name})(IMAGES, seeded()).sources) for name in mixers.MIXINGS}
    assert parts == {name: mixer({"name": name}).least for name in mixers.MIXINGS}
    assert parts == {"cutout": 1, "mixup": 2, "cutmix": 2, "ricap": 4}


def test_no_mixing():
    assert mixer(None) is None


def test_settings_are_left_as_they_are_and_no_draw_is_taken():
    settings, state = {"name": "cutmix", "alpha": 0.5}, torch.get_rng_state()
    assert mixer(settings).options == {"alpha": 0.5}
    assert settings == {"name": "cutmix", "alpha": 0.5}
    assert torch.equal(torch.get_rng_state(), state)


@given(st.text(), st.dictionaries(st.text(), st.integers()))
def test_no_other_name_is_a_mixing(name, options):
    if name not in mixers.MIXINGS:
        with pytest.raises(
            ValueError, match="unknown mixing .* known: cutmix, cutout, mixup, rica"
        ):
            mixer({**options, "name": name})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "puzzlemix"}, "unknown mixing 'puzzlemix'; known: cutmix, cutout, mixup, ricap"),
        ({"alpha": 1.0}, "unknown mixing None; known: cutmix, cutout, mixup, ricap"),
        ({"name": ["mixup"]}, r"unknown mixing \['mixup'\]"),
        ({}, "unknown mixing None"),
        ("cutmix", r"a mixing is written as \{'name': 'cutmix'\}, got 'cutmix'"),
        (["cutmix"], r"a mixing is written as .*, got \['cutmix'\]"),
        ({"name": "mixup", "size": 4}, "mixing 'mixup' with {'size': 4}: .*'size'"),
        ({"name": "cutout", "alpha": 1.0}, "mixing 'cutout' with .*'alpha'"),
        ({"name": "cutmix", "images": 3}, "mixing 'cutmix' with .*'images'"),
        ({"name": "mixup", "alpha": "much"}, "mixing 'mixup' with {'alpha': 'much'}"),
        ({"name": "mixup", "alpha": 0.0}, r"alpha must lie in \(0, 1e\+06\], got 0.0"),
        ({"name": "ricap", "alpha": float("nan")}, "alpha must lie in .*, got nan"),
        ({"name": "cutmix", "probability": 1.1}, r"probability must lie in \[0, 1\], got 1.1"),
        ({"name": "cutout", "size": 1}, "size must be a whole number of at least 2, got 1"),
    ],
)
def test_what_is_wrong_is_said_when_the_mixing_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        mixer(settings)
