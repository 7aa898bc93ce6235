import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch.profiler import ProfilerActivity, profile

from ldlstudy import metrics
from ldlstudy.retrieval import hits


def points(seed, rows, columns=5, classes=3):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, columns)), rng.integers(classes, size=rows)


@pytest.mark.parametrize("columns", [1, 2, 64])
@pytest.mark.parametrize("block", [1, 7, 200, 1024])
def test_hits_among_the_queries_against_scikit_learn(columns, block):
    x, y = points(0, 200, columns)
    nearest = NearestNeighbors(n_neighbors=1).fit(x).kneighbors(return_distance=False)[:, 0]
    expected = y[nearest] == y
    assert 0 < expected.sum() < 200
    assert hits(x, y, block=block).tolist() == expected.tolist()
    assert metrics.recall_at_1(x, y, block=block) == expected.mean()


@pytest.mark.parametrize("columns", [1, 2, 64])
@pytest.mark.parametrize("block", [1, 7, 1024])
def test_hits_in_a_gallery_against_scikit_learn(columns, block):
    x, y = points(0, 100, columns)
    gallery, labels = points(1, 300, columns)
    expected = KNeighborsClassifier(n_neighbors=1).fit(gallery, labels).predict(x) == y
    assert 0 < expected.sum() < 100
    assert hits(x, y, gallery, labels, block).tolist() == expected.tolist()
    assert metrics.recall_at_1(x, y, gallery, labels, block) == expected.mean()


def test_distances_far_from_the_origin_keep_their_order():
    x, y = points(0, 200)
    assert hits(x + 1e8, y).tolist() == hits((x + 1e8) - 1e8, y).tolist()
    gallery, labels = points(1, 300)
    expected = KNeighborsClassifier(n_neighbors=1).fit(gallery, labels).predict(x) == y
    far = hits(torch.tensor(x) + 1e8, torch.tensor(y), gallery + 1e8, labels)
    assert far.tolist() == expected.tolist()


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 6), st.floats(-1e3, 1e3))
def test_rotations_shifts_and_scales_change_nothing(seed, rows, columns, shift):
    x, y = points(seed, rows, columns)
    gallery, labels = points(seed + 1, rows, columns)
    rotation, _ = np.linalg.qr(points(seed + 2, columns, columns)[0])

    def moved(values):
        return 3 * values @ rotation + shift

    assert hits(moved(x), y).tolist() == hits(x, y).tolist()
    there = hits(moved(x), y, moved(gallery), labels)
    assert there.tolist() == hits(x, y, gallery, labels).tolist()


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 12), st.integers(1, 15))
def test_a_query_searches_the_gallery_of_all_others(seed, rows, block):
    x, y = points(seed, rows)
    others = [np.arange(rows) != i for i in range(rows)]
    each = [bool(hits(x[~o], y[~o], x[o], y[o])) for o in others]
    assert hits(x, y, block=block).tolist() == each


def test_duplicates_find_each_other():
    x, y = points(0, 50)
    twice, same = np.concatenate([x, x]), np.concatenate([y, y])
    assert metrics.recall_at_1(twice, same) == 1
    assert metrics.recall_at_1(twice, np.concatenate([y, y + 1])) == 0
    assert metrics.recall_at_1(x, y, x, y) == 1  # a gallery is searched whole
    assert metrics.recall_at_1(x, y, x, y + 1) == 0
    assert metrics.recall_at_1(np.ones((4, 2)), np.zeros(4, dtype=int)) == 1


def test_by_hand():
    x, y = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    assert hits(x, y).tolist() == [True, True, False]  # 3 is nearest to 1
    gallery, labels = torch.tensor([[0.9], [2.5]]), torch.tensor([0, 1])
    assert hits(x, y, gallery, labels).tolist() == [True, True, True]
    assert hits(x[2:], y[2:], gallery[:1], labels[:1]).tolist() == [False]  # one point each


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_types_of_result_and_arguments(dtype):
    x, y = (torch.tensor(values) for values in points(0, 20))
    x = x.to(dtype).requires_grad_()
    found = hits(x, y)
    assert found.dtype == torch.bool
    assert found.shape == (20,)
    value = metrics.recall_at_1(x, y)
    assert type(value) is float
    assert value == metrics.recall_at_1(x.detach().numpy(), y.numpy().astype(np.uint8))


def test_one_block_of_distances_is_held_at_a_time(tmp_path):
    x, y = (torch.tensor(values) for values in points(0, 2000))
    gallery, labels = (torch.tensor(values) for values in points(1, 5000))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        metrics.recall_at_1(x, y, gallery, labels, block=32)
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    changes = sorted((e["ts"], e["args"]["Bytes"]) for e in trace if e["name"] == "[memory]")
    peak = max(np.cumsum([change for _, change in changes]))
    distances = 32 * 5000 * 8
    assert distances <= peak <= distances + 3 * gallery.nbytes  # the gallery and its centred copy


X, Y = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]), torch.tensor([0, 1, 1])


@pytest.mark.parametrize("score", [hits, metrics.recall_at_1])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:2]), r"features of shape \(N, D\) and N >= 2 labels, got \(3, 2\) and 2"),
        ((X[0], Y), "need features of shape"),
        ((X[:, :0], Y), "need features of shape"),
        ((X[:1], Y[:1]), "N >= 2 labels"),
        ((X[:0], Y[:0], X, Y), r"N >= 1 labels, got \(0, 2\) and 0"),
        ((X / 0, Y), "features must be floating point and finite"),
        ((X.long(), Y), "floating point and finite, got torch.int64"),
        ((X, Y - 1), r"got values in \[-1, 0\]"),
        ((X, Y.double()), "labels must be whole numbers"),
        ((X, Y, X), "give both gallery and gallery_labels, or neither"),
        ((X, Y, None, Y), "give both gallery and gallery_labels, or neither"),
        ((X, Y, X[:0], Y[:0]), r"need gallery of shape \(N, D\) and N >= 1 labels, got \(0, 2\)"),
        ((X, Y, X, Y[:1]), r"need gallery of shape .* got \(3, 2\) and 1"),
        ((X, Y, X[:, :1], Y), "same number of columns, got 2 and 1"),
        ((X, Y, X * float("nan"), Y), "gallery must be floating point and finite"),
        ((X, Y, X, Y, 0), "block must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(score, arguments, message):
    with pytest.raises(ValueError, match=message):
        score(*arguments)
