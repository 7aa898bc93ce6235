"""The Transformer against closed forms, and its beam search against all translations there are."""

import itertools
import math

import pytest
import torch

from ldlstudy.models import transformer
from ldlstudy.models.transformer import BEGIN, END, PAD, Transformer, positions, translate

SMALL = {"layers": 1, "width": 8, "heads": 2, "feedforward": 8, "dropout": 0.0}
SOURCE = torch.tensor([[BEGIN, 4, END, PAD], [BEGIN, 5, 4, END]])


@pytest.fixture
def network():
    torch.manual_seed(0)
    made = Transformer(6, 6, **SMALL).eval()
    with torch.no_grad():
        made.head.weight.mul_(4)  # so that guesses differ from step to step
    return made


def test_parameters_are_those_of_the_tutorials_network():
    """By hand: attention has 4 matrices, a decoder's layer two of them; norms end both stacks."""
    d, f, source, target = 512, 512, 30, 40
    attention, forward, norm = 4 * (d * d + d), 2 * d * f + f + d, 2 * d
    encoder = attention + forward + 2 * norm
    decoder = 2 * attention + forward + 3 * norm
    expected = 3 * (encoder + decoder) + 2 * norm + (source + target) * d + target * d + target
    assert sum(p.numel() for p in Transformer(source, target).parameters()) == expected


def test_positions_are_sines_and_cosines_in_turn():
    found = positions(5, 6)
    for place, k in itertools.product(range(5), range(3)):
        angle = place / 10000 ** (2 * k / 6)
        assert found[place, 2 * k] == pytest.approx(math.sin(angle), abs=1e-6)
        assert found[place, 2 * k + 1] == pytest.approx(math.cos(angle), abs=1e-6)


def test_weights_are_xaviers():
    torch.manual_seed(0)
    made = Transformer(300, 500, **(SMALL | {"width": 64}))
    for weight in (made.source.weight, made.target.weight, made.head.weight):
        bound = math.sqrt(6 / sum(weight.shape))
        assert float(weight.detach().abs().max()) == pytest.approx(bound, rel=0.01)


def test_a_word_depends_on_those_before_it_and_on_no_padding(network):
    target = torch.tensor([[BEGIN, 4, 5, 4], [BEGIN, 5, 5, 4]])
    logits = network(SOURCE, target)
    changed = target.clone()
    changed[:, 2:] = 4
    torch.testing.assert_close(network(SOURCE, changed)[:, :2], logits[:, :2])
    assert not torch.allclose(network(SOURCE, changed)[1, 2], logits[1, 2])
    torch.testing.assert_close(network(SOURCE[:1, :3], target[:1]), logits[:1])


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_beam_of_all_hypotheses_finds_the_best_translation(network, temperature, monkeypatch):
    monkeypatch.setattr(transformer, "LONGER", 1)
    for source, own in zip(
        (SOURCE[:1, :3], SOURCE[1:]), translate(network, SOURCE, 216, temperature), strict=True
    ):
        most, scored = source.shape[1], {}  # tokens, without BEGIN
        for length in range(1, most + 1):
            all_ = [
                tokens
                for tokens in itertools.product(range(6), repeat=length)
                if END not in tokens[:-1] and (tokens[-1] == END or length == most)
            ]
            target = torch.tensor([[BEGIN, *tokens] for tokens in all_])
            features = network.decode(
                target[:, :-1],
                network.encode(source).expand(len(target), -1, -1),
                source.expand(len(target), -1),
            )
            log_p = (network.head(features) / temperature).log_softmax(2)
            sums = log_p.gather(2, target[:, 1:, None]).sum((1, 2)).tolist()
            scored |= dict(zip(all_, sums, strict=True))
        best = max(scored, key=lambda tokens: scored[tokens])
        assert own == [token for token in best if token != END]


def test_a_beam_of_one_takes_the_likeliest_next_word_at_every_temperature(network):
    for source, own in zip((SOURCE[:1, :3], SOURCE[1:]), translate(network, SOURCE), strict=True):
        tokens = [BEGIN]
        while tokens[-1] != END and len(tokens) < source.shape[1] + transformer.LONGER:
            tokens.append(int(network(source, torch.tensor([tokens]))[0, -1].argmax()))
        assert own == [token for token in tokens[1:] if token != END]
    assert translate(network, SOURCE, 1, 7.0) == translate(network, SOURCE)


def test_sentences_are_translated_alike_alone_and_together(network):
    for width in (1, 2, 3):
        alone = [*translate(network, SOURCE[:1, :3], width), *translate(network, SOURCE[1:], width)]
        assert translate(network, SOURCE, width) == alone


def test_what_a_network_and_a_search_refuse(network):
    for options, said in (
        ({"width": 9}, "width must be even and a multiple of 8 heads, got 9"),
        ({"layers": 0}, "layers must be"),
        ({"dropout": 1.5}, "dropout must lie in"),
    ):
        with pytest.raises(ValueError, match=said):
            Transformer(6, 6, **options)
    with pytest.raises(ValueError, match="vocabulary must be"):
        Transformer(4, 6)
    with pytest.raises(ValueError, match="width of the beam must be"):
        translate(network, SOURCE, 0)
    with pytest.raises(ValueError, match="temperature must lie"):
        translate(network, SOURCE, 1, 0.0)
