"""What a run keeps for figures and tables, a row at a time, against the network's own answers.

``test_keep_errors.py`` is of the answers, the errors and the classes, ``test_images.py`` of mixed
images.
"""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ldlstudy import metrics, votes
from ldlstudy.data import Dataset, Images
from ldlstudy.device import Execution
from ldlstudy.experiment import images, keep, measure
from ldlstudy.experiment.keep import KEEP, Finished
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import prepare, teacher_of
from ldlstudy.training import Student
from tests.experiment.runs import tiny

DATA = {"sigma": 0.7, "train": 12, "test": 9}
run = functools.partial(tiny, model="small_cnn", data=DATA, network={"norm": True})  # errs often
TEACHER = run()
TAUGHT = run("distil", {"relabel": True}, teachers=(TEACHER,), mixing={"name": "ricap"})
NOT_HERE = ("domains", "information", "supervision")
EVERY = tuple(name for name in KEEP if name not in NOT_HERE)


def unfinished(own, work=None, network=None):
    """Return a run with all that may be kept of it, trained or not."""
    setting = prepare(own, Execution())
    teacher, _ = teacher_of(setting, work, {})
    network = network or setting.new_network()
    student = Student(network, setting.recipe, own.method, own.settings, teacher, own.seed)
    predictor = setting.predictor(network)
    test = measure.Outcome.of(predictor, setting.dataset.test)
    return Finished(setting, student, predictor, measure.stages(test), test)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def finished(work):
    """Return the record of a run that keeps all there is, and its trained network."""
    (record,) = images.execute([Planned(TEACHER, EVERY, intervals=False)], work=work)
    network = prepare(TEACHER, Execution()).trained(work)
    return record, unfinished(TEACHER, work, network)


ADDED = {  # metrics of a stage, by what is kept; the others are figures
    "label": ("label", {"total_variation", "entropy", "true_entropy"}),
    "neighbours": ("plain", {"recall_at_1", "recall_at_1_train", "intra_class_variation"}),
    "operations": ("step", {"operations", "seconds"}),
    "plane": ("plane", {"template_distance"} | {
        f"{part}_{what}" for part in ("train", "test") for what in ("spread", "distance")
    }),
}  # fmt: skip
TWO = Images(torch.zeros(2, 1, 8, 8), torch.tensor([0, 2]))
WATCHED = ("class_loss", "test_class_loss")  # which only make training look closer


def test_domains_are_counted_by_the_true_and_the_predicted_one():
    classes = ("bird/a", "bird/b", "dog/c")
    dataset = Dataset("three_domains", classes, TWO, TWO)
    p = torch.eye(3)[[1, 2, 2, 0]]
    setting = replace(prepare(TEACHER, Execution()), dataset=dataset)
    outcome = measure.Outcome(p, torch.tensor([0, 1, 2, 2]))
    made = keep.domains(Finished(setting, None, None, {"plain": (p, 1.0)}, outcome))
    assert made.figure == {"names": ["bird", "dog"], "count": [[1, 1], [1, 1]]}
    with pytest.raises(ValueError, match="unknown data set with domains 'noisy_digits'"):
        keep.check(("domains",), prepare(TEACHER, Execution()))


@pytest.mark.parametrize("name", EVERY)
def test_a_record_has_what_each_row_makes(name, finished):
    record, trained = finished
    made = KEEP[name].make(trained)
    json.dumps([made.figure, made.values], allow_nan=False)
    stage, added = ADDED.get(name, ("plain", set()))
    if name == "people":  # in every stage
        scores = {f"votes_{score}" for score in votes.SCORES}
        stages = dict.fromkeys(trained.stages, scores) | {"people": scores | {"temperature"}}
        stages["voters"] = {"votes_total_variation", "votes_entropy_order"}
    else:
        stages = {stage: added} if added else {}
    assert {s: set(row) for s, row in made.values.items()} == stages
    assert (made.figure is None) == (name in WATCHED or (name in ADDED and name != "plane"))
    if made.figure is not None:
        assert record.figure(name) == made.figure
    for metric in added - {"seconds"}:
        assert record.values[stage][metric] == pytest.approx(made.values[stage][metric])
    assert name in record.kept


def test_losses_of_the_classes_are_watched_in_every_epoch(finished):
    record, trained = finished
    history, test = record.figure("history"), trained.test
    assert {len(losses) for losses in history.values()} == {3}
    losses = F.cross_entropy(test.logits, test.labels, reduction="none")
    expected = [float(losses[test.labels == k].mean()) for k in range(10)]
    assert history["test_class_loss"][-1] == pytest.approx(expected, rel=1e-4)
    assert np.mean(history["train_class_loss"][-1]) == pytest.approx(history["train_loss"][-1])


def nearest(queries, gallery, own=False):
    """Return the nearest row of the gallery to each query, one pair at a time."""
    found = []
    for i, query in enumerate(queries):
        distances = ((gallery - query) ** 2).sum(1)
        if own:
            distances[i] = np.inf
        found.append(int(distances.argmin()))
    return found


def test_recall_at_1_is_that_of_the_features(finished):
    _, trained = finished
    dataset, test = trained.setting.dataset, trained.features.double().numpy()
    train = trained.predictor.features(dataset.train).double().numpy()
    labels, others = dataset.test.labels, dataset.train.labels
    own = (labels[nearest(test, test, own=True)] == labels).double()
    found = (others[nearest(test, train)] == labels).double()
    assert not torch.equal(own, found)
    made = KEEP["neighbours"].make(replace(trained, resamples=100))
    for name, hits in (("recall_at_1", own), ("recall_at_1_train", found)):
        value, (low, high) = made.values["plain"][name], made.intervals["plain"][name]
        assert value == pytest.approx(float(hits.mean()), rel=1e-5)
        assert high - low == pytest.approx(2 * 1.96 * np.sqrt(value * (1 - value) / 90), rel=0.4)
        assert low < value < high
    assert "intra_class_variation" not in made.intervals["plain"]
    assert KEEP["neighbours"].make(trained).intervals == {}


def test_sampled_predictions_can_be_scaled_like_the_networks(finished):
    record, trained = finished
    found, logits = record.figure("sampled"), trained.test.logits
    assert found["labels"] == trained.test.labels.tolist()  # 90 images: all
    for temperature in (0.5, 1.0, 3.0):
        again = (torch.tensor(found["log_probabilities"]) / temperature).softmax(1)
        torch.testing.assert_close(again, (logits / temperature).softmax(1), rtol=5e-3, atol=1e-4)
    certain = keep.sampled(torch.eye(3)[torch.arange(1001) % 3], torch.arange(1001) % 3)
    assert certain["labels"] == (torch.arange(0, 1001, 3) % 3).tolist()
    assert np.isfinite(certain["log_probabilities"]).all()


def test_reliability_is_that_of_each_stage_without_nan(finished):
    record, trained = finished
    assert set(record.figure("reliability")) == {"plain", "fitted", "searched"}
    for stage, (p, _) in trained.stages.items():
        bins = record.figure("reliability")[stage]
        theirs = metrics.reliability(p, trained.test.labels, 15, "left")
        assert bins["count"] == theirs.count.tolist()
        there = theirs.count > 0
        assert 0 < there.sum() < 15
        for key, whole in (("accuracy", theirs.accuracy), ("confidence", theirs.confidence)):
            assert [value is not None for value in bins[key]] == there.tolist()
            np.testing.assert_allclose(np.array(bins[key])[there].astype(float), whole[there])


def features(count, width, classes=12, seed=0):
    """Return features (N, D) of different spread by column, and labels in random order."""
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.1, 3, width)
    labels = torch.from_numpy(rng.integers(0, classes, count))
    return torch.from_numpy(rng.normal(5, scales, (count, width))).float(), labels


@pytest.mark.parametrize(("count", "width"), [(900, 7), (900, 50), (40, 200), (12, 3), (1, 4)])
def test_an_embedding_that_is_whole_keeps_the_distances(count, width):
    """With 50 images or columns at most, components only turn the features; 4 digits are kept."""
    x, labels = features(count, width)
    found = keep.embedding(x, labels)
    json.dumps(found, allow_nan=False)
    points, n = torch.tensor(found["points"], dtype=torch.float64), len(found["index"])
    assert points.shape == (n, min(50, width, n))
    chosen = x[found["index"]].double()
    torch.testing.assert_close(
        torch.cdist(points, points), torch.cdist(chosen, chosen), rtol=2e-3, atol=1e-2
    )
    zero = torch.zeros(points.shape[1]).double()
    torch.testing.assert_close(points.mean(0), zero, rtol=0, atol=5e-3)
    assert all(float(f"{value:.4g}") == value for row in found["points"] for value in row)


def test_an_embedding_has_the_first_images_of_ten_classes_in_their_50_largest_components():
    x, labels = features(900, 80)
    found = keep.embedding(x, labels)
    index = [i for k in range(10) for i in np.flatnonzero(labels.numpy() == k)[:50].tolist()]
    assert (found["index"], found["labels"]) == (index, labels[index].tolist())
    points, chosen = np.array(found["points"]), x[index].double().numpy()
    assert points.shape == (500, 50)
    variances = np.linalg.eigvalsh(np.cov(chosen.T, bias=True))[::-1]
    np.testing.assert_allclose(points.var(0), variances[:50], rtol=2e-3)
    apart = np.cov(points.T) / np.sqrt(np.outer(points.var(0), points.var(0)))
    np.testing.assert_allclose(apart, np.eye(50), atol=5e-3)


def test_the_label_that_is_taught_is_as_far_from_the_truth_as_a_hard_one(finished):
    record, trained = finished
    train = trained.setting.dataset.train
    missed = 1 - train.truth.double().gather(1, train.labels[:, None])
    assert record.values["label"]["total_variation"] == pytest.approx(float(missed.mean()), 1e-4)


def cost(own, work=None):
    trained = unfinished(own, work)
    before = {k: v.clone() for k, v in trained.student.network.state_dict().items()}
    found = KEEP["operations"].make(trained).values["step"]
    now = trained.student.network.state_dict()
    assert all(torch.equal(now[k], v) for k, v in before.items())
    assert 0 < found["seconds"] < 5
    return found["operations"]


def test_products_of_a_fully_connected_network_are_counted_forwards_and_backwards():
    """64 to 5 to 10: 2 B (64 5 + 5 10) forwards; backwards again and twice, but for the input."""
    data = {"sigma": 0.5, "train": 3, "test": 2}
    recipe = {"epochs": 1, "batch": 30, "rate": 0.1}
    first, second = 2 * 30 * 64 * 5, 2 * 30 * 5 * 10
    own = run(model="small_fcn", data=data, recipe=recipe, network={"hidden": [5]})
    assert cost(own) == 2 * first + 3 * second


@pytest.mark.parametrize(
    ("own", "passes"),
    [
        (run("ls", {"epsilon": 0.1}), 3),
        (run(mixing={"name": "mixup"}), 3),
        (run("cs_kd", {"temperature": 4.0, "weight": 1.0}), 4),
        (run("ddgsd", {"temperature": 4.0, "weight": 1.0, "discrepancy": 0.1}), 6),
        (TAUGHT, 4),
    ],
)
@pytest.mark.usefixtures("finished")
def test_a_pass_more_costs_a_third_more(own, passes, work):
    """A step passes forwards and about twice backwards; a partner or a teacher forwards alone."""
    assert cost(own, work) / cost(TEACHER) == pytest.approx(passes / 3, rel=0.02)


@pytest.mark.parametrize(
    ("own", "name", "message"),
    [
        (run("bootstrap"), "label", "methods with a label of their own, bootstrap has none"),
        (run(dataset="digits", data={}), "similar", "with similar classes 'digits'; known: cif"),
    ],
)
def test_what_is_not_to_be_had_is_refused_before_training(own, name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        images.execute([Planned(own, (name,))], work=tmp_path)
    assert not list(tmp_path.rglob("*.pt"))


def test_votes_are_drawn_from_a_known_truth(finished):
    """The scores are those of the draws, and near those of the truth, 50 times as many people."""
    record, trained = finished
    dataset = trained.setting.dataset
    drawn = keep.votes_on(dataset)
    assert torch.equal(drawn, keep.votes_on(dataset))
    assert (drawn.sum(1) == 50).all()
    assert (dataset.test.truth[drawn > 0] > 0).all()
    own = record.values["plain"]
    assert own["votes_kl"] == pytest.approx(votes.kl(trained.p, drawn))
    assert own["votes_total_variation"] == pytest.approx(own["total_variation"], abs=0.05)
    shown = record.figure("people")
    index = torch.tensor(shown["index"])
    assert shown["labels"] == dataset.test.labels[index].tolist()
    assert shown["votes"] == drawn[index].tolist()
    logs = torch.tensor(shown["log_probabilities"])
    torch.testing.assert_close(logs.exp(), trained.p[index], rtol=1e-3, atol=1e-6)
    entropy = torch.special.entr(drawn / 50).sum(1)
    for low, middle, high in entropy[index].view(-1, 3).tolist():
        assert low <= middle <= high


def test_images_that_nobody_has_voted_on_are_refused_before_training(tmp_path):
    with pytest.raises(ValueError, match="people have voted on test images of cifar10, fashion"):
        images.execute([Planned(tiny(dataset="digits", data={}), ("people",))], work=tmp_path)
