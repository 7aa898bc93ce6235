from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans

from ldlstudy import projection


@st.composite
def templates(draw):
    """Draw three templates (3, features) that span a plane, in float64."""
    features = draw(st.integers(2, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shift, scale = draw(st.sampled_from([0, 10])), draw(st.sampled_from([1e-3, 1.0, 1e3]))
    w = torch.from_numpy(scale * (rng.normal(size=(3, features)) + shift))
    a, b = w[1] - w[0], w[2] - w[0]
    assume(abs(float(torch.cosine_similarity(a, b, dim=0))) < 0.999)
    return w


def printed_code(points):
    """Algorithm 1 of [Re] appendix A.1, in numpy."""
    columns = np.stack([points[1] - points[0], points[2] - points[0]])
    columns /= np.linalg.norm(columns, axis=1, keepdims=True)
    return np.linalg.qr(columns.T)[0]


@given(templates())
def test_plane_is_the_printed_codes_up_to_signs(w):
    basis, theirs = projection.plane(w), torch.from_numpy(printed_code(w.numpy()))
    torch.testing.assert_close((basis.T @ theirs).abs(), torch.eye(2, dtype=w.dtype))
    torch.testing.assert_close(basis.T @ basis, torch.eye(2, dtype=w.dtype))


@given(templates())
def test_plane_is_the_same_whichever_template_is_the_origin(w):
    projectors = [b @ b.T for b in (projection.plane(w[list(p)]) for p in permutations(range(3)))]
    for other in projectors[1:]:
        torch.testing.assert_close(other, projectors[0], atol=1e-8, rtol=0)


@given(templates())
def test_axes_point_to_the_second_and_third_template(w):
    w1, w2, w3 = projection.project(w, projection.plane(w))
    length = float((w[1] - w[0]).norm())
    assert float((w2 - w1)[0]) == pytest.approx(length)
    assert float((w2 - w1)[1]) == pytest.approx(0, abs=1e-9 * (length + float(w.norm())))
    assert float((w3 - w1)[1]) > 0


@given(templates(), st.integers(0, 2**32))
def test_projection_keeps_distances_within_the_plane_and_shortens_others(w, seed):
    basis = projection.plane(w)
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(5, 3))
    inside = mix / mix.sum(1, keepdims=True) @ w.numpy()  # affine combinations
    kept = pdist(projection.project(inside, basis).numpy())
    np.testing.assert_allclose(kept, pdist(inside), rtol=1e-5, atol=1e-8 * np.abs(inside).max())
    anywhere = rng.normal(size=(5, w.shape[1]))
    shadow = pdist(projection.project(anywhere, basis).numpy())
    assert (shadow <= pdist(anywhere) * (1 + 1e-9)).all()


def test_projection_by_hand():
    w = torch.tensor([[0.0, 0, 1], [2, 0, 1], [1, 3, 1]])
    basis = projection.plane(w)
    assert torch.equal(basis.abs(), torch.eye(3)[:, :2])
    torch.testing.assert_close(basis, torch.eye(3)[:, :2])
    raw = torch.tensor([[4.0, -5, 6]])
    assert projection.project(raw, basis).tolist() == [[4, -5]]  # raw: nothing is centred
    weights = torch.nn.Parameter(w)  # a network's own
    assert not projection.plane(weights).requires_grad


def test_nearly_collinear_float32_templates_are_told_apart():
    line = torch.tensor([[0.1, 0.2], [0.3, 0.6], [0.7, 1.4]])
    with pytest.raises(ValueError, match="lie on one line"):
        projection.plane(line)
    projection.plane(line + torch.tensor([[0, 0], [0, 0], [0, 1e-3]]))


@given(st.integers(0, 2**32), st.integers(1, 4))
def test_cluster_spread_against_scikit_learn(seed, dimensions):
    """With one cluster, k-means' inertia is the sum of squared distances to the mean."""
    rng = np.random.default_rng(seed)
    groups = [rng.normal(size=(n, dimensions)) + 5 * n for n in (3, 8)]
    labels = np.repeat([4, 1], [3, 8])
    inertia = [KMeans(1, n_init=1, random_state=0).fit(group).inertia_ for group in groups]
    expected = np.mean(np.sqrt(np.array(inertia) / [3, 8]))
    assert projection.cluster_spread(np.concatenate(groups), labels) == pytest.approx(expected)


def test_spread_and_distance_by_hand():
    points = torch.tensor([[0.0, 0], [2, 0], [5, 5], [5, 5]])
    labels = torch.tensor([0, 0, 1, 1])
    assert projection.cluster_spread(points, labels) == 0.5
    triangle = torch.tensor([[0.0, 0], [3, 0], [0, 4]])
    assert projection.template_distance(triangle) == 4
    assert projection.relative_spread(points, labels, triangle) == 0.125


def test_template_distance_against_scipy():
    w = np.random.default_rng(0).normal(size=(7, 5))
    assert projection.template_distance(w) == pytest.approx(pdist(w).mean())


W, LABELS = torch.eye(3), torch.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: projection.plane(W[:2]), r"shape \(3, features\).*got \(2, 3\)"),
        (lambda: projection.plane(W[[0, 1, 1]]), "lie on one line"),
        (lambda: projection.plane(W[[0, 0, 1]]), "lie on one line"),
        (lambda: projection.plane(torch.ones(3, 4)), "lie on one line"),
        (lambda: projection.plane(W / 0), "templates must be floating point and finite"),
        (lambda: projection.project(W, W), r"basis must have shape \(3, 2\), got \(3, 3\)"),
        (lambda: projection.cluster_spread(W, LABELS[:2]), "as many labels as points, got 2 and 3"),
        (lambda: projection.cluster_spread(W, -LABELS), "labels must lie in"),
        (lambda: projection.template_distance(W[:1]), r"N >= 2, got \(1, 3\)"),
        (lambda: projection.relative_spread(W, LABELS, torch.ones(2, 3)), "all alike"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
