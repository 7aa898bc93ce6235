"""Carry out runs on sentences: train a Transformer to translate, measure its next words, record.

What is predicted is each next token of the reference, from the source and the tokens before it; its
classes are the words of the target language. Calibration is of these predictions. What a reader
gets is the translation that greedy or beam search makes of them, which BLEU scores.
"""

import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ldlstudy import checks, losses, methods, metrics, scaling
from ldlstudy.batch import Task
from ldlstudy.data import default_root, translation
from ldlstudy.data.translation import Pairs, Translations
from ldlstudy.device import Execution, progress
from ldlstudy.experiment import keep, measure
from ldlstudy.experiment.plan import Planned
from ldlstudy.experiment.prepare import NETWORK, checkpoint_of, workplace
from ldlstudy.experiment.records import Record, Run, Values
from ldlstudy.extras import needs
from ldlstudy.models.transformer import PAD, Transformer, translate
from ldlstudy.seeds import seed_of
from ldlstudy.training import History, checkpoints

DATASETS = (translation.NAME, translation.MADE)
MODEL = "transformer"
RECIPE: dict[str, Any] = {"epochs": 18, "batch": 128, "rate": 1e-4}  # of PyTorch's tutorial
BETAS, EPS = (0.9, 0.98), 1e-9  # of its Adam
PARTS = 2  # that a batch is trained in, by length: less padding, the gradient of the whole batch
BLOCK = 32  # tokens whose label distributions stay in a core's cache
MEASURED = 128  # sentences that are measured at a time; where padding counts, as coded
TEMPERATURES = tuple(np.linspace(0.5, 2, 16).round(1).tolist())  # of the code's Figure 5
BEAM, BEAM_TEMPERATURES = 4, (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
METRICS = (
    "accuracy", "top5_accuracy", "cross_entropy", "brier", "ece_15_left", "kl_to_truth",
)  # fmt: skip


def execute(
    planned: Planned,
    execution: Execution = Execution(),  # noqa: B008 - frozen
    work: Path | None = None,
    title: str | None = None,
) -> Record:
    """Train and measure; return the record of a run. A killed one goes on from its last epoch.

    The stages are those of images, over the tokens of the test sentences, with ``fitted`` scaled by
    the temperature of the held-out ones. ``coded`` and ``coded_searched`` are what the authors'
    code prints: of the held-out sentences, with the padding behind each one's end counted as
    tokens, none of which can be right; the latter at that of `TEMPERATURES` with the lowest ECE.

    Parameters
    ----------
    planned : Planned
        Its run's ``dataset`` is one of `DATASETS`, ``model`` is `MODEL`, ``method`` one of
        :data:`ldlstudy.methods.METHODS` that only changes labels and has no teacher.
    execution, work, title
        As in :func:`ldlstudy.experiment.images.execute`.

    Raises
    ------
    ValueError
        An unknown name, a value out of range, data that are missing, or a loss that is no longer
        finite.
    """
    with execution.limited(), sdpa_kernel(SDPBackend.MATH):  # the others are slow for few tokens
        return _execute(planned, execution, work, title)


def _execute(
    planned: Planned, execution: Execution, work: Path | None, title: str | None
) -> Record:
    run, start = planned.run, time.perf_counter()
    checks.one_of("model", run.model, [MODEL])
    for name in run.recipe:
        checks.one_of("training setting", name, RECIPE)
    unfit = {"augmentation": run.augmentation, "mixing": run.mixing, "keep": planned.keep}
    for name, given in unfit.items():
        if given:
            raise ValueError(f"a run on sentences takes no {name}, got {given}")
    if run.replicates != 1:
        raise ValueError(
            f"a run on sentences has one replicate, got {run.replicates}: name other seeds"
        )
    data = loaded(run)
    network = _untrained(run, data).to(execution.device)
    folder = workplace(run, work)
    folder.mkdir(parents=True, exist_ok=True)
    history = train(run, network, data, execution, checkpoint_of(folder), title)
    checkpoints.save(folder / NETWORK, network=network, run=run.id)
    values, intervals, figures = measured(network.eval(), data, planned.intervals)
    training = sum(epoch["seconds"] for epoch in history)
    made = execution.circumstances() | {
        "seconds": max(training, time.perf_counter() - start),
        "networks": 1,
        "epochs": len(history),
        "training_seconds": training,
        "data": data.digest,
    }
    figures["history"] = {name: [epoch[name] for epoch in history] for name in history[0]}
    return Record(run.specification, values, intervals, made, (), figures)


def loaded(run: Run) -> Translations:
    """Return the sentences of a run; an unknown option or a value out of range is a ValueError."""
    return _loaded(run.dataset, json.dumps(dict(run.data), sort_keys=True), default_root())


@functools.lru_cache(maxsize=2)
def _loaded(name: str, options: str, root: Path) -> Translations:
    checks.one_of("set for translation", name, DATASETS)
    given = json.loads(options)
    for option in given:
        checks.one_of(f"option of {name}", option, options_of(name))
    return translation.synonyms(**given) if name == translation.MADE else translation.multi30k(root)


def options_of(name: str) -> dict[str, type]:
    """Return the options of a set for translation, each with its type."""
    return dict.fromkeys(("train", "held", "test", "draw"), int) if name == translation.MADE else {}


def _untrained(run: Run, data: Translations) -> Transformer:
    with Execution().seeded(seed_of(run.seed, "weights")):
        return Transformer(*map(len, data.vocabularies), **run.network)


def train(
    run: Run,
    network: Transformer,
    data: Translations,
    execution: Execution,
    checkpoint: Path | None = None,
    title: str | None = None,
) -> History:
    """Train a network towards a run's labels of each next token; return its history by epoch.

    Batches are of consecutive sentences, the same in every epoch, as in the tutorial.
    """
    recipe = {**RECIPE, **run.recipe}
    epochs, batch = (checks.whole(name, recipe[name], 1) for name in ("epochs", "batch"))
    rate = checks.in_range("rate", recipe["rate"], 0, open_low=True)
    optimiser = torch.optim.Adam(network.parameters(), rate, BETAS, EPS, fused=True)
    label = labels_of(run, len(data.vocabularies[1]))
    of = {**run.specification, "recipe": {**recipe, "epochs": 1}}  # it may go on for longer
    described = checkpoints.described(of | {"labels": data.digest})
    columns = {"rate", "loss", "seconds", "held_loss", "held_accuracy"}
    history = checkpoints.resume(checkpoint, network, optimiser, described, [1.0] * epochs, columns)
    with (
        execution.forked(),
        progress(epochs * len(data.train), title, "sentence") as bar,
    ):
        bar.update(len(history) * len(data.train))
        for epoch in range(len(history), epochs):
            start, total, seen = time.perf_counter(), 0.0, 0
            execution.seed(seed_of(run.seed, "dropout", epoch))
            network.train()
            for rows in torch.arange(len(data.train)).split(batch):
                loss, tokens = _learn(network, data.train, rows, label, optimiser, execution)
                total, seen = total + loss * tokens, seen + tokens
                bar.update(len(rows))
            if not np.isfinite(total):
                raise ValueError(
                    f"the loss is no longer finite in epoch {epoch + 1}: lower the rate"
                )
            entry = {"rate": 1.0, "loss": total / seen, "seconds": time.perf_counter() - start}
            with execution.autocast():
                history.append(entry | _look(network.eval(), data.held))
            if checkpoint is not None:
                checkpoints.save(
                    checkpoint,
                    network=network,
                    optimiser=optimiser,
                    history=history,
                    training=described,
                )
    return history


def labels_of(run: Run, classes: int) -> Callable[[Tensor], Tensor]:
    """Return what a run's method teaches of tokens: a function from these (N,) to (N, K).

    A method that needs more than labels, or whose settings do not fit, is a ValueError.
    """
    method = methods.named(run.method)
    if not method.only_labels or method.teacher or run.teachers:
        raise ValueError(f"method {run.method!r} does not train translators: labels alone do")

    def label(tokens: Tensor) -> Tensor:
        return method.labels(Task(tokens, classes), run.settings)

    label(torch.zeros(1, dtype=torch.long))
    return label


def _learn(
    network: Transformer,
    pairs: Pairs,
    rows: Tensor,
    label: Callable[[Tensor], Tensor],
    optimiser: torch.optim.Optimizer,
    execution: Execution,
) -> tuple[float, int]:
    """Take a step on the mean loss of a batch's tokens; return it and how many they are."""
    lengths = torch.tensor([len(pairs.source[i]) + len(pairs.target[i]) for i in rows.tolist()])
    count = sum(len(pairs.target[i]) - 1 for i in rows.tolist())
    optimiser.zero_grad()
    total = torch.zeros(())
    with execution.autocast():  # weights are cast once for all parts
        for part in rows[lengths.argsort(stable=True)].chunk(PARTS):
            source, target = (side.to(execution.device) for side in pairs.padded(part))
            said = target[:, 1:]
            there = said != PAD
            logits = network.head(network.features(source, target[:, :-1])[there])
            blocks = zip(logits.split(BLOCK), said[there].split(BLOCK), strict=True)
            loss = sum(
                (losses.soft_cross_entropy(z, label(y)) * (len(y) / count) for z, y in blocks),
                torch.zeros((), device=logits.device),
            )
            loss.backward()
            total += loss.detach().cpu()
    optimiser.step()
    return float(total), count


def _look(network: Transformer, pairs: Pairs) -> dict[str, float]:
    """Loss and accuracy of held-out tokens after an epoch."""
    nll, right, count = 0.0, 0, 0
    for logits, said in answers(network, pairs):
        nll += float(losses.cross_entropy(logits, said)) * len(said)
        right, count = right + int((logits.argmax(1) == said).sum()), count + len(said)
    return {"held_loss": nll / count, "held_accuracy": right / count}


@torch.no_grad()
def answers(
    network: Transformer, pairs: Pairs, padding: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits (N, K) of every next token and what it is (N,), for some sentences at a time.

    With ``padding`` the places behind the end of a sentence count too, as in [Re]'s code.
    """
    device = network.head.weight.device
    for rows in torch.arange(len(pairs)).split(MEASURED):
        source, target = (side.to(device) for side in pairs.padded(rows))
        said = target[:, 1:]
        there = torch.ones_like(said, dtype=torch.bool) if padding else said != PAD
        logits = network.head(network.features(source, target[:, :-1])[there])
        yield logits.cpu(), said[there].cpu()


def measured(
    network: Transformer, data: Translations, intervals: bool = False
) -> tuple[Values, Values, dict[str, Any]]:
    """Return the values, intervals and figures of a trained network, all in float32.

    Parameters
    ----------
    network : Transformer
        In evaluation mode.
    data : Translations
        Its ``held`` part has the temperature fitted to it, its ``test`` part is scored.
    intervals : bool
        Whether to draw the test sentences again for 95 % intervals; a sentence's tokens stay
        together.

    Returns
    -------
    values, intervals : dict
        Stage to metric to a number, or to the ends of its interval.
    figures : dict
        ``temperatures``: scores by temperature, of [Re]'s Figure 5; ``reliability``.
    """
    logits, said = (torch.cat(part) for part in zip(*answers(network, data.test), strict=True))
    fitted = _fitted(network, data.held)
    searched = measure.search(logits, said)
    temperatures = {"plain": 1.0, "fitted": fitted, "searched": searched}
    values: Values = {}
    ends: Values = {}
    figures: dict[str, Any] = {"reliability": {}, "temperatures": _curves(logits, said)}
    sentence = torch.arange(len(data.test)).repeat_interleave(
        torch.tensor([len(each) - 1 for each in data.test.target])
    )
    truth = None if data.test.truth is None else torch.cat(data.test.truth)
    for stage, temperature in temperatures.items():
        p = scaling.scale(logits, temperature)
        terms = measure.terms_of(measure.Answers(p, said, truth), METRICS)
        values[stage] = {name: each.value() for name, each in terms.items()}
        values[stage]["temperature"] = temperature
        if intervals:
            ends[stage] = measure.intervals_of(terms, len(p), measure.RESAMPLES, sentence)
        figures["reliability"][stage] = keep.reliability(p, said, "ece_15_left")
    values |= _coded(network, data.held, figures["temperatures"])
    _translated(network, data, values, figures["temperatures"])
    return values, ends, figures


def _fitted(network: Transformer, held: Pairs) -> float:
    """The temperature with the least negative log-likelihood of held-out tokens."""
    logits, said = (torch.cat(part) for part in zip(*answers(network, held), strict=True))
    with scaling.unwarned():
        return scaling.fit_temperature(logits, said)


def _curves(logits: Tensor, said: Tensor) -> dict[str, Any]:
    """ECE and negative log-likelihood of tokens at each of `TEMPERATURES`."""
    sure, right, nll = _at_temperatures(logits, said)
    return {
        "temperature": list(TEMPERATURES),
        "ece": [_ece(each, right) for each in sure],
        "cross_entropy": nll.double().mean(1).tolist(),
    }


def _ece(confidence: Tensor, right: Tensor) -> float:
    return metrics.gaps(confidence, right, bins=15, edges="left").value()


def _at_temperatures(logits: Tensor, said: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Confidence (T, N) by temperature, whether the guess is right (N,), and -log p (T, N)."""
    behind = logits - logits.amax(1, keepdim=True)
    true = behind.gather(1, said[:, None])[:, 0]
    sums = torch.stack([torch.logsumexp(behind / t, 1) for t in TEMPERATURES])
    nll = sums - true / torch.tensor(TEMPERATURES)[:, None]
    return (-sums).exp(), logits.argmax(1) == said, nll


def _coded(network: Transformer, held: Pairs, curves: dict[str, Any]) -> Values:
    """What [Re]'s code prints, with padding counted; its ECE by temperature joins the curves."""
    found = [_at_temperatures(*each)[:2] for each in answers(network, held, padding=True)]
    sure, right = torch.cat([each for each, _ in found], 1), torch.cat([each for _, each in found])
    eces = [_ece(each, right) for each in sure]
    curves["coded_ece"], best = eces, int(np.argmin(eces))
    accuracy = float(right.double().mean())
    words = sum(len(each) - 1 for each in held.target)
    common = {"accuracy": accuracy, "padding": 1 - words / len(right)}
    plain = {"ece_15_left": eces[TEMPERATURES.index(1.0)], "temperature": 1.0}
    searched = {"ece_15_left": eces[best], "temperature": TEMPERATURES[best]}
    return {"coded": common | plain, "coded_searched": common | searched}


def _translated(
    network: Transformer, data: Translations, values: Values, curves: dict[str, Any]
) -> None:
    """Add the BLEU of greedy and of beam search to the stages, and that of beams to the curves."""
    score = functools.partial(bleu, network, data)
    values["plain"]["bleu_greedy"] = score()
    by_temperature = {t: score(BEAM, t) for t in BEAM_TEMPERATURES}
    curves |= {"beam_temperature": [*by_temperature], "bleu_beam": [*by_temperature.values()]}
    values["plain"]["bleu_beam"] = by_temperature[1.0]
    values["fitted"]["bleu_beam"] = score(BEAM, values["fitted"]["temperature"])


def bleu(
    network: Transformer, data: Translations, width: int = 1, temperature: float = 1.0
) -> float:
    """Return the BLEU of translated test sentences by sacreBLEU, in [0, 1].

    ``width`` and ``temperature`` are those of :func:`ldlstudy.models.transformer.translate`.
    """
    with needs("book"):
        import sacrebleu

    device = network.head.weight.device
    lengths = torch.tensor([len(each) for each in data.test.source])
    made = [""] * len(lengths)
    for rows in lengths.argsort(stable=True).split(MEASURED):
        source, _ = data.test.padded(rows)
        found = translate(network, source.to(device), width, temperature)
        for row, tokens in zip(rows.tolist(), found, strict=True):
            made[row] = data.text(tokens)
    return float(sacrebleu.corpus_bleu(made, [data.test.texts]).score) / 100
