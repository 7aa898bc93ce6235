"""Sentences with their translations: what files give, and the invented language's true chances."""

import pytest
import torch

from ldlstudy import data
from ldlstudy.data import translation
from ldlstudy.models.transformer import BEGIN, END, PAD, UNKNOWN

LINES = {
    "train.en": ["A dog, a cat.", "A dog runs."],
    "train.de": ["Ein Hund, eine Katze.", "Ein Hund läuft."],
    "val.en": ["A cow."],
    "val.de": ["Eine Kuh."],
    "test_2016_flickr.en": ["A cat runs."],
    "test_2016_flickr.de": ["Eine Katze läuft."],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(translation, "PARTS", {"train": 2, "val": 1, "test_2016_flickr": 1})
    for name, lines in LINES.items():
        file = tmp_path / "multi30k" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return tmp_path


def test_multi30k_by_hand(folder):
    found = translation.multi30k(folder)
    source, target = found.vocabularies
    assert source == (*translation.SPECIAL, ".", "A", "dog", ",", "a", "cat", "runs")
    assert target[4:7] == (".", "Ein", "Hund")
    words = [source[token] for token in found.train.source[0].tolist()]
    assert words == ["<bos>", "A", "dog", ",", "a", "cat", ".", "<eos>"]
    assert found.held.source[0].tolist() == [BEGIN, source.index("A"), UNKNOWN, 4, END]
    assert found.test.texts == LINES["test_2016_flickr.de"]
    assert found.text(found.test.target[0].tolist()[1:-1]) == "<unk> Katze läuft ."
    assert [len(part) for part in (found.train, found.held, found.test)] == [2, 1, 1]
    both = found.train.padded(slice(None))
    assert [tuple(side.shape) for side in both] == [(2, 8), (2, 8)]
    assert both[0][1].tolist()[-2:] == [PAD, PAD]
    assert found.digest == translation.multi30k(folder).digest
    assert data.check("multi30k", folder).startswith("multi30k: 11 words to 11, 2 sentences, ")
    assert data.location("multi30k", folder) == folder / "multi30k"
    assert ", in " in data.describe("multi30k", folder)


def test_what_multi30k_refuses(folder):
    file = folder / "multi30k" / "val.de"
    for content, said in (
        (b"Eine Kuh.\nNoch eine.\n", "must have 1 sentences, a line each, got 2 lines"),
        (b" \n", "must have 1 sentences"),
        (b"\xff\n", "is damaged"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            translation.multi30k(folder)
    file.unlink()
    with pytest.raises(ValueError, match=r"no set multi30k: .*val.de is missing; put its"):
        translation.multi30k(folder)
    with pytest.raises(ValueError, match="multi30k comes from its authors alone"):
        data.fetch("multi30k", folder)


def test_the_invented_language_is_what_its_truth_says():
    found = translation.synonyms(train=1500, held=2, test=3, draw=1)
    source, target = found.vocabularies
    assert (len(source), len(target)) == (4 + 12, 4 + 24)
    likelier = torch.zeros(12, 2)
    for own, said, truth, text in zip(
        found.train.source, found.train.target, found.train.truth, found.train.texts, strict=True
    ):
        assert 3 <= len(own) - 2 <= 7
        assert truth.shape == (len(said) - 1, 28)
        spoken = [target[token] for token in said.tolist()[1:-1]]
        assert text.split() == spoken
        meant = [source[token] for token in own.tolist()[1:-1]][::-1]
        assert [word[1:] for word in spoken] == meant
        for word, row in zip(spoken, truth, strict=False):
            number = int(word[2:])
            share = 0.55 + 0.4 * number / 11
            expected = {f"aw{number}": share, f"bw{number}": 1 - share}
            assert {target[i]: float(row[i]) for i in row.nonzero()[:, 0]} == pytest.approx(
                expected
            )
            likelier[number, int(word[0] == "b")] += 1
        assert truth[-1].nonzero().tolist() == [[END]]
    share, count = likelier[:, 0] / likelier.sum(1), likelier.sum(1)
    expected = torch.linspace(0.55, 0.95, 12)
    assert bool(((share - expected).abs() < 4 * (expected * (1 - expected) / count).sqrt()).all())


def test_draws_differ_and_parts_are_independent_of_each_others_size():
    a, b = (translation.synonyms(train=5, held=2, test=3, draw=draw) for draw in (0, 1))
    assert a.digest != b.digest
    more = translation.synonyms(train=9, held=2, test=3)
    assert [t.tolist() for t in more.test.target] == [t.tolist() for t in a.test.target]
    with pytest.raises(ValueError, match="train must be"):
        translation.synonyms(train=0)
    with pytest.raises(ValueError, match="draw must be"):
        translation.synonyms(draw=-1)
