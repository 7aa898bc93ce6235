import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import losses, sskd
from ldlstudy.batches import Batch

CORNERS = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(2, 3, 2, 2)  # read by rows
LABELS = torch.tensor([0, 1])


def test_images_are_turned_by_right_angles():
    views = (10 * CORNERS, 100 * CORNERS, 1000 * CORNERS)
    turned = sskd.turned(Batch(CORNERS, LABELS, LABELS, views))
    assert turned.shape == (8, 3, 2, 2)
    seen = [view[0, 0].flatten().tolist() for view in turned.split(2)]
    assert seen == [[1, 2, 3, 4], [20, 40, 10, 30], [400, 300, 200, 100], [3000, 1000, 4000, 2000]]


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 3, 4, 4)])
def test_images_that_cannot_be_turned(shape):
    images = torch.zeros(shape)
    batch = Batch(images, LABELS[: shape[0]], LABELS[: shape[0]], (images,) * 3)
    with pytest.raises(ValueError, match="sskd needs 2 square images or more, got "):
        sskd.turned(batch)


RANKED = torch.tensor([  # ranks of column 0: 2, 0, 1, 2, 1
    [0.0, 2.0, 1.0],
    [3.0, 2.0, 1.0],
    [1.5, 2.0, 1.0],
    [0.0, 1.0, 2.0],
    [1.0, 0.0, 2.0],
])  # fmt: skip


@pytest.mark.parametrize(
    ("share", "rows"),
    [(0.0, [1]), (0.24, [1]), (0.25, [1, 2]), (0.5, [1, 2, 4]), (0.75, [0, 1, 2, 4]),
     (1.0, [0, 1, 2, 3, 4])],
)  # fmt: skip
def test_the_best_of_the_wrong_are_kept(share, rows):
    kept = sskd.selected(RANKED, torch.zeros(5, dtype=torch.int64), share)
    assert kept.nonzero()[:, 0].tolist() == rows


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(2, 8), st.floats(0, 1))
def test_selection_against_sorting(seed, rows, columns, share):
    g = torch.Generator().manual_seed(seed)
    scores = torch.rand(rows, columns, generator=g)
    truth = torch.randint(0, columns, (rows,), generator=g)
    ranks = [row.argsort(descending=True).tolist().index(y) for row, y in zip(
        scores, truth.tolist(), strict=True)]  # fmt: skip
    wrong = sorted((rank, i) for i, rank in enumerate(ranks) if rank)
    kept = {i for i, rank in enumerate(ranks) if not rank}
    kept |= {i for _, i in wrong[: int(share * len(wrong))]}
    assert set(sskd.selected(scores, truth, share).nonzero()[:, 0].tolist()) == kept


def test_with_every_row_it_is_the_divergence():
    z, r = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    ours = sskd.copied(z, r, torch.zeros(6, dtype=torch.int64), 3.0, 1.0)
    torch.testing.assert_close(ours, losses.divergence(z, r, 3.0))


def test_only_kept_rows_count():
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    z.requires_grad_()
    truth = torch.zeros(5, dtype=torch.int64)
    ours = sskd.copied(z, RANKED, truth, 2.0, 0.25)
    torch.testing.assert_close(ours, losses.divergence(z[1:3], RANKED[1:3], 2.0))
    ours.backward()
    assert z.grad.any(1).tolist() == [False, True, True, False, False]
    assert float(sskd.copied(z, RANKED, torch.full((5,), 2), 2.0, 0.0).detach()) >= 0


def test_no_row_to_learn_from_gives_no_loss():
    z = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    ours = sskd.copied(z, RANKED[[0, 4]], torch.zeros(2, dtype=torch.int64), 2.0, 0.0)
    ours.backward()
    assert float(ours.detach()) == 0
    assert not z.grad.any()
