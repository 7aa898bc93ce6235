"""An encoder-decoder Transformer for translation, and how a sentence is read off it.

The layout is that of PyTorch's translation tutorial, which [Re] takes over: ``nn.Transformer``
between token embeddings, scaled by the square root of their width (Vaswani et al., 2017), with
sinusoidal positions, and a linear layer to the words of the target.
"""

import math

import torch
from torch import Tensor, nn

from ldlstudy import checks

UNKNOWN, PAD, BEGIN, END = range(4)  # what the first four numbers of a vocabulary stand for
LONGER = 5  # tokens that a translation may have more than its source, as in the tutorial


class Transformer(nn.Module):
    """A Transformer from sentences of ``source`` words to ones of ``target`` words.

    Sentences are whole numbers (B, S), padded with `PAD` behind their end. Weight matrices have
    Xavier's uniform initialisation, the embeddings too.

    Parameters
    ----------
    source, target : int
        Sizes of the vocabularies, the four special tokens among them.
    layers : int
        Of the encoder, and as many of the decoder.
    width, heads, feedforward : int
        Of each layer; ``heads`` divides ``width``, which is even.
    dropout : float
        Of embeddings and layers, in [0, 1].
    """

    def __init__(
        self,
        source: int,
        target: int,
        *,
        layers: int = 3,
        width: int = 512,
        heads: int = 8,
        feedforward: int = 512,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        sizes = {"layers": layers, "heads": heads, "feedforward": feedforward}
        for name, size in sizes.items():
            checks.whole(name, size, 1)
        checks.in_range("dropout", dropout, 0, 1)
        if checks.whole("width", width, 2) % heads or width % 2:
            raise ValueError(f"width must be even and a multiple of {heads} heads, got {width}")
        self.source, self.target = (
            nn.Embedding(checks.whole("vocabulary", size, END + 2), width)
            for size in (source, target)
        )
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(width, heads, feedforward, dropout, batch_first=True)
        encoder = nn.TransformerEncoder(  # torch's own would make nested tensors, which may change
            layer, layers, nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.body = nn.Transformer(
            width, heads, layers, layers, feedforward, dropout, custom_encoder=encoder,
            batch_first=True,
        )  # fmt: skip
        self.head = nn.Linear(width, target)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def encode(self, source: Tensor) -> Tensor:
        """Return what the decoder is told of sentences (B, S): shape (B, S, width)."""
        memory: Tensor = self.body.encoder(
            self._placed(self.source, source), src_key_padding_mask=source == PAD
        )
        return memory

    def decode(self, target: Tensor, memory: Tensor, source: Tensor) -> Tensor:
        """Return the features (B, T, width) of every next token, from those before it (B, T)."""
        ahead = torch.ones(2 * target.shape[1:], dtype=torch.bool, device=target.device).triu(1)
        features: Tensor = self.body.decoder(
            self._placed(self.target, target),
            memory,
            tgt_mask=ahead,
            tgt_key_padding_mask=target == PAD,
            memory_key_padding_mask=source == PAD,
        )
        return features

    def features(self, source: Tensor, target: Tensor) -> Tensor:
        """Return `decode` of the memory of ``source`` (B, S)."""
        return self.decode(target, self.encode(source), source)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the logits (B, T, K) of every next token."""
        logits: Tensor = self.head(self.features(source, target))
        return logits

    def _placed(self, embedding: nn.Embedding, tokens: Tensor) -> Tensor:
        """Embeddings scaled by sqrt(width), with their positions added."""
        width = embedding.embedding_dim
        scaled = embedding(tokens) * math.sqrt(width)
        placed: Tensor = self.dropout(scaled + positions(tokens.shape[1], width).to(scaled))
        return placed


def positions(length: int, width: int) -> Tensor:
    """Return sinusoidal positions (length, width): sine and cosine take turns."""
    rate = torch.exp(-math.log(1e4) * torch.arange(0, width, 2) / width)
    angle = torch.arange(length)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)


@torch.no_grad()
def translate(
    network: Transformer, source: Tensor, width: int = 1, temperature: float = 1.0
) -> list[list[int]]:
    """Return the translations that a beam search of some ``width`` finds; of 1 it is greedy.

    A hypothesis is worth the sum of log softmax(logits / T) of its tokens. In each step the
    ``width`` best continuations of a sentence's open hypotheses are kept; those that end, or are
    `LONGER` than their source, are closed. The best closed one is returned: hypotheses are not
    weighed by their length, so beams of any width prefer short ones where T is large.

    Parameters
    ----------
    network : Transformer
        Its mode is not changed: call ``eval()`` first.
    source : Tensor
        Shape (B, S), padded sentences with `BEGIN` and `END`.
    width : int
        Hypotheses of each sentence, at least 1.
    temperature : float
        T, above 0.

    Returns
    -------
    list of list of int
        The tokens of each translation, without `BEGIN` and `END`.
    """
    checks.whole("width of the beam", width, 1)
    checks.in_range("temperature", temperature, 0, open_low=True)
    count, device = len(source), source.device
    most = (source != PAD).sum(1) + LONGER  # tokens, with BEGIN
    found: list[tuple[float, list[int]]] = [(-math.inf, [])] * count
    memory = network.encode(source)
    sentence = torch.arange(count, device=device)  # (H,), of each open hypothesis
    tokens = torch.full((count, 1), BEGIN, device=device)  # (H, t)
    score = torch.zeros(count, device=device)  # (H,)
    while len(sentence):
        features = network.decode(tokens, memory[sentence], source[sentence])[:, -1]
        step = (network.head(features).float() / temperature).log_softmax(1)
        sentence, tokens, score = _extended(sentence, tokens, score[:, None] + step, width)
        closed = (tokens[:, -1] == END) | (tokens.shape[1] >= most[sentence])
        for i in closed.nonzero()[:, 0].tolist():
            at, own = int(sentence[i]), tokens[i, 1:].tolist()
            if float(score[i]) > found[at][0]:
                found[at] = float(score[i]), own[: -1 if own[-1] == END else None]
        best = torch.tensor([value for value, _ in found], device=device)
        open_ = ~closed & (score > best[sentence])  # what is worse already can only fall
        sentence, tokens, score = sentence[open_], tokens[open_], score[open_]
    return [own for _, own in found]


def _extended(
    sentence: Tensor, tokens: Tensor, scores: Tensor, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The ``width`` best continuations of each sentence's hypotheses, by scores (H, K)."""
    score, token = scores.topk(min(width, scores.shape[1]))  # no more of one can be among them
    owner = sentence[:, None].expand_as(token).flatten()
    row = torch.arange(len(sentence), device=sentence.device)[:, None].expand_as(token).flatten()
    order = score.flatten().argsort(descending=True, stable=True)
    order = order[owner[order].argsort(stable=True)]  # by sentence, the best first
    owner = owner[order]
    rank = torch.arange(len(owner), device=owner.device) - torch.searchsorted(owner, owner)
    kept = order[rank < width]
    new = token.flatten()[kept]
    rows = row[kept]
    return sentence[rows], torch.cat([tokens[rows], new[:, None]], 1), score.flatten()[kept]
