"""Sentences with their translations: Multi30k from a local folder, and a small set made here.

Multi30k (Elliott et al., 2016) is a folder ``<root>/multi30k`` with a sentence a line in
``train.en``, ``train.de``, ``val.*`` and ``test_2016_flickr.*``, English to German as in [Re].
`synonyms` is an invented language whose every word has two translations, drawn by known
probabilities, so that the distribution of each next word is known exactly.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ldlstudy import checks
from ldlstudy.extras import needs
from ldlstudy.models.transformer import BEGIN, END, PAD, UNKNOWN
from ldlstudy.seeds import seed_of

NAME, MADE = "multi30k", "synonyms"
NAMES = (NAME,)
PARTS = {"train": 29_000, "val": 1_014, "test_2016_flickr": 1_000}  # sentences
LANGUAGES = ("en", "de")  # from, to
SPECIAL = ("<unk>", "<pad>", "<bos>", "<eos>")
WORDS, SHORTEST, LONGEST = 12, 3, 7  # of the invented language, and of its sentences
LIKELY = (0.55, 0.95)  # the share of the likelier translation, of the first word and of the last


@dataclass(frozen=True)
class Pairs:
    """N sentences with their translations.

    Attributes
    ----------
    source, target : list of Tensor
        Token numbers of each sentence, long, between `BEGIN` and `END`.
    texts : list of str
        The translations as they are written.
    truth : list of Tensor, optional
        Of each sentence, the exact distributions (T, K) of its T next target tokens.
    """

    source: list[Tensor]
    target: list[Tensor]
    texts: list[str]
    truth: list[Tensor] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def padded(self, which: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return some sentences (B, S) and their translations (B, T), padded to the longest."""
        rows = torch.arange(len(self))[which].tolist()
        source, target = (
            torch.nn.utils.rnn.pad_sequence(
                [side[row] for row in rows], batch_first=True, padding_value=PAD
            )
            for side in (self.source, self.target)
        )
        return source, target


@dataclass(frozen=True)
class Translations:
    """A set for translation, with the words that its token numbers stand for, source and target."""

    name: str
    vocabularies: tuple[tuple[str, ...], tuple[str, ...]]
    train: Pairs
    held: Pairs
    test: Pairs

    @property
    def digest(self) -> str:
        """SHA-256 of the token numbers of all parts."""
        content = hashlib.sha256()
        for part in (self.train, self.held, self.test):
            for tokens in (*part.source, *part.target):
                content.update(tokens.numpy().tobytes())
        return content.hexdigest()

    def text(self, tokens: Sequence[int]) -> str:
        """Return a translation as words with spaces between them."""
        return " ".join(self.vocabularies[1][token] for token in tokens)


def multi30k(root: Path) -> Translations:
    """Return Multi30k, English to German.

    Sentences are split into tokens by the rules of sacreBLEU's "13a". A vocabulary has every token
    of the training sentences, the most frequent first; others are unknown. What is held out are the
    set's validation sentences.

    Raises
    ------
    ValueError
        If a file is missing, damaged, or has another number of sentences than was published.
    """
    folder = path(NAME, root)
    texts = {part: [_lines(folder, part, to) for to in LANGUAGES] for part in PARTS}
    tokens = {part: [[_split(t) for t in side] for side in both] for part, both in texts.items()}
    source, target = (_vocabulary(side) for side in tokens["train"])

    def pairs(part: str) -> Pairs:
        ours, theirs = tokens[part]
        return Pairs(_numbers(ours, source), _numbers(theirs, target), texts[part][1])

    return Translations(NAME, (source, target), *map(pairs, PARTS))


def path(name: str, root: Path) -> Path:
    """Where the folder of the set lies or would lie."""
    return root / name


def _lines(folder: Path, part: str, language: str) -> list[str]:
    file = folder / f"{part}.{language}"
    way = "put its sentences there, a line each, from where its authors publish them"
    if not file.is_file():
        raise ValueError(f"no set {NAME}: {file} is missing; {way}")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is damaged ({error}); {way}") from error
    if len(lines) != PARTS[part] or not all(map(str.strip, lines)):
        raise ValueError(
            f"{file} must have {PARTS[part]:,} sentences, a line each, got {len(lines):,} lines"
        )
    return [line.strip() for line in lines]


def _split(text: str) -> list[str]:
    with needs("book"):
        from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()(text).split()


def _vocabulary(sentences: Sequence[Sequence[str]]) -> tuple[str, ...]:
    counts = Counter(token for sentence in sentences for token in sentence)
    return (*SPECIAL, *sorted(counts, key=lambda token: (-counts[token], token)))


def _numbers(sentences: Sequence[Sequence[str]], words: Sequence[str]) -> list[Tensor]:
    number = {word: i for i, word in enumerate(words)}
    return [
        torch.tensor([BEGIN, *(number.get(token, UNKNOWN) for token in sentence), END])
        for sentence in sentences
    ]


def synonyms(*, train: int = 2000, held: int = 200, test: int = 200, draw: int = 0) -> Translations:
    """Return an invented language whose every word has two translations, with the true chances.

    A sentence is of `SHORTEST` to `LONGEST` words, drawn evenly and independently. Its translation
    has them in reverse order; the i-th of `WORDS` words becomes the likelier of its two synonyms
    with a probability that rises evenly from .55 to .95, whatever stands around it.

    Parameters
    ----------
    train, held, test : int
        Sentences of each part, at least 1.
    draw : int
        Seed of the sentences, at least 0.
    """
    sizes = {"train": train, "held": held, "test": test}
    checks.whole("draw", draw, 0)
    words = [f"w{i}" for i in range(WORDS)]
    vocabularies = (*SPECIAL, *words), (*SPECIAL, *(f"{s}{w}" for w in words for s in "ab"))
    parts = [
        _drawn(checks.whole(name, size, 1), seed_of(draw, name), vocabularies[1])
        for name, size in sizes.items()
    ]
    return Translations(MADE, vocabularies, *parts)


def _drawn(count: int, seed: int, words: Sequence[str]) -> Pairs:
    generator = torch.Generator().manual_seed(seed)
    likely = torch.linspace(*LIKELY, WORDS, dtype=torch.float64)
    first, ends = len(SPECIAL), torch.tensor([BEGIN, END])
    parts: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    for length in torch.randint(SHORTEST, LONGEST + 1, (count,), generator=generator).tolist():
        meant = torch.randint(WORDS, (length,), generator=generator)
        said = meant.flip(0)
        second = torch.rand(length, generator=generator, dtype=torch.float64) >= likely[said]
        truth = torch.zeros(length + 1, len(words), dtype=torch.float64)
        at = torch.arange(length)
        truth[at, first + 2 * said] = likely[said]
        truth[at, first + 2 * said + 1] = 1 - likely[said]
        truth[length, END] = 1
        for part, own in zip(parts, (first + meant, first + 2 * said + second), strict=False):
            part.append(torch.cat([ends[:1], own, ends[1:]]))
        parts[2].append(truth)
    source, target, truths = parts
    texts = [" ".join(words[token] for token in own[1:-1].tolist()) for own in target]
    return Pairs(source, target, texts, truths)


def describe(name: str, root: Path) -> str:
    """One line on the set: its sizes, and whether it is here."""
    folder = path(name, root)
    train, held, test = PARTS.values()
    state = "in" if folder.exists() else "not in"
    return (
        f"{name:14} {train:,} + {held:,} + {test:,} sentences, {LANGUAGES[0]} to {LANGUAGES[1]}, "
        f"from its authors, {state} {folder}"
    )


def check(name: str, root: Path) -> str:
    """Read the set whole and check it; return the sizes of its vocabularies and its digest."""
    found = multi30k(root)
    source, target = map(len, found.vocabularies)
    return f"{name}: {source:,} words to {target:,}, {len(found.train):,} sentences, {found.digest}"
