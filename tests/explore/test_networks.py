"""The networks behind explorers: trained in a moment, or read from their records."""

import pytest
import torch

from ldlstudy import mixture
from ldlstudy.data.replicates import Sample
from ldlstudy.experiment import records
from ldlstudy.experiment.plan import BUILDS
from ldlstudy.explore import recorded, trained
from ldlstudy.studies.ils import runs as ils
from tests.conftest import ROOT
from tests.explore.explorers import learned


def test_networks_of_the_plane_are_trained_in_a_moment():
    sets = trained.planes("smoke")
    assert len(sets) == trained.SETS
    for each in sets:
        assert isinstance(each.train, Sample)
        assert set(each.networks) == set(learned(0).networks)
        p = torch.stack([predict(each.test.inputs) for predict in each.networks.values()])
        assert torch.allclose(p.sum(2), torch.ones(p.shape[:2]))
        assert len({tuple(row.flatten().tolist()) for row in p}) == len(p)
    assert not torch.equal(sets[0].train.inputs, sets[1].train.inputs)


def test_the_teacher_of_mixed_images_is_trained_in_a_moment():
    images, teach, sigma = trained.teacher("smoke")
    assert teach(images.pixels).shape == (len(images.labels), 10)
    torch.testing.assert_close(
        images.truth, mixture.noisy_digits(sigma).posterior(images.pixels.flatten(1))
    )


@pytest.mark.parametrize("profile", BUILDS)
def test_networks_are_those_of_every_profile_that_a_book_is_built_with(profile, monkeypatch):
    sizes, trains = {"smoke": "smoke", "quick": "quick", "full": "quick", "paper": "paper"}, []
    monkeypatch.setattr(trained, "_train", lambda sets, labels, epochs: trains.append(epochs))
    with pytest.raises(TypeError):  # nothing was trained
        trained.planes(profile)
    assert trains == [ils.runs(sizes[profile])[0].run.recipe["epochs"]]
    for network in (trained.planes, trained.teacher):
        with pytest.raises(ValueError, match=f"unknown profile '{profile}r'; known: "):
            network(f"{profile}r")


def test_recorded_networks_say_what_they_see_in_the_same_images(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = recorded.predictions()
    truth, pixels = recorded.images()
    assert len(found) == len(recorded.SHOWN)
    labels = [network["labels"] for network in found.values()]
    assert all(each == labels[0] for each in labels)
    assert len(truth) == len(pixels) == len(labels[0])
    assert float(truth.gather(1, torch.tensor(labels[0])[:, None]).mean()) > 0.5
    planes = recorded.planes()
    assert list(planes) == ["0", "0.05", "0.1", "0.15", "0.3"]
    assert len({tuple(each) for each in planes.values()}) == 1


def test_a_network_without_a_record_is_left_out(monkeypatch):
    monkeypatch.chdir(ROOT)
    load = records.load
    monkeypatch.setattr(records, "load", lambda run: load(run) if run.method != "ls" else None)
    assert list(recorded.predictions(("none", "ls", "cs_kd"))) == ["hard labels", "CS-KD"]


def test_networks_without_any_record_are_named(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="unknown strategy 'x'; known: adacos"):
        recorded.predictions(["x"])
    with pytest.raises(ValueError, match="no network has a record: run `ldlstudy sweep truth`"):
        recorded.predictions(["none"])
    with pytest.raises(ValueError, match="run `ldlstudy sweep explore --profile quick`"):
        recorded.planes()
