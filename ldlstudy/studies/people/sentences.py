"""What the chapter on people says of its records, and when it is true."""

from collections.abc import Collection

import pandas as pd

from ldlstudy import stats, studies
from ldlstudy.data import distributions
from ldlstudy.report.numbers import Numbers, known, with_interval
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import NoRecordError, Reading, in_words, listed, of_seeds
from ldlstudy.stats import Estimate
from ldlstudy.studies.fast.runs import CIFAR10
from ldlstudy.studies.people import annotators, comparisons
from ldlstudy.studies.people.runs import FCN, LENET, OF_FCN, row
from ldlstudy.studies.strategies import in_prose

KL = "kl_to_truth"
DIVIDED = (8, 14, 20)  # of the images that were kept: a pullover, a coat and a shirt
ANSWERING = ("none", "ls", "cs_kd", "mixup", "adacos")  # whose networks answer them
CROSS_ENTROPY, ECE, ORDER = "votes_cross_entropy", "votes_ece", "votes_entropy_order"
VARIATION = "votes_total_variation"


class Facts(Reading):
    """LeNet on Fashion-MNIST and what else the chapter is of, as the conditions read it."""

    def __init__(
        self,
        results: Results,
        known: Results,
        annotated: Results,
        enhanced: Results,
        cifar: Results,
    ) -> None:
        super().__init__(results, LENET)
        self.known, self.annotated, self.enhanced = known, annotated, enhanced
        self.cifar = Reading(cifar, CIFAR10)

    def of_one(self) -> dict[str, float]:
        """Return the cross entropy to the votes by what is made of one annotator's labels."""
        found = comparisons.by_strategy(self.annotated, CROSS_ENTROPY, bench=annotators.NAME)
        own = {str(n): float(v) for n, v in found.items() if n in annotators.STRATEGIES}
        if len(own) < 2 or "none" not in own:
            raise NoRecordError("no two targets that one annotator's labels make have records")
        return own

    def of_target(self, name: str) -> float:
        """Return the cross entropy to the votes of another target."""
        return Reading(self.annotated, annotators.NAME)(name, CROSS_ENTROPY)

    def of_known(self, metric: str) -> pd.Series:
        """Return a metric by strategy on noisy digits, whose truth votes were drawn from."""
        places = {each.bench for each in self.known.planned}
        if not places:
            raise NoRecordError("noisy digits have no records")
        return comparisons.by_strategy(self.known, metric, bench=places.pop())

    def surest(self, image: int) -> str:
        """Return whose network is surest of its answer to one of the images that were kept."""
        kept = {name: self.results.figure(row(name), "people") for name in ANSWERING}
        says = {n: max(f["log_probabilities"][image]) for n, f in kept.items() if f is not None}
        if len(says) < len(ANSWERING):
            raise NoRecordError("some network has kept no answers")
        return max(says, key=says.__getitem__)

    def only_truth_is_apart(self) -> bool:
        """Return whether no strategy has another rank than hard labels, but the true posterior."""
        said = _ranked(self.enhanced)
        if not said:
            raise NoRecordError("no set of label distributions has records")
        ranks = comparisons.enhancement_ranks(self.enhanced)[KL]
        gap = float(ranks["none"] - ranks["truth"])
        apart = said["enhancement.critical_difference"]
        return gap > float(apart) and said["enhancement.apart"] == "none"

    def of_both(self, metric: str, stage: str = "plain") -> pd.DataFrame:
        """Return a metric of the strategies that LeNet and [Re]'s network have."""
        found = comparisons.of_networks(self.results, metric, stage)
        if len(found) < 2:
            raise NoRecordError("no two strategies have records of both networks")
        return found

    def all(self, metric: str, stage: str = "plain") -> dict[str, float]:
        """Return the mean over seeds of a metric of every strategy."""
        found = comparisons.by_strategy(self.results, metric, stage)
        if found.empty:
            raise NoRecordError(f"no strategy has {metric} at {stage}")
        return {str(name): float(value) for name, value in found.items()}


def facts() -> Facts:
    """Return the committed records, as the conditions read them."""
    return Facts(
        studies.recorded("people"),
        studies.recorded("people", "quick"),
        studies.recorded("annotators"),
        studies.recorded("enhancement"),
        studies.recorded("fast"),
    )


def written(results: Results) -> Numbers:
    """Return the sentences that are written from the records; what has none is not in them.

    Nearer and farther than hard labels are strategies whose difference has an interval on one side
    of zero. Hard labels on fewer images are none of the strategies that are counted.
    """
    own = Facts(results, *(Results([], {}) for _ in range(4)))
    found: Numbers = {}
    for stage, title in (("plain", ""), ("people", "people.")):
        ends = _apart(results, CROSS_ENTROPY, stage)
        if not ends:
            continue
        nearer, every = sum(each.high < 0 for each in ends.values()), in_words(len(ends))
        found |= {
            f"{title}nearest": in_prose(list(ends)[:3]),
            f"{title}nearer": in_words(nearer),
            f"{title}nearer.of": f"all {every}"
            if nearer == len(ends)
            else f"{in_words(nearer)} of the {every}",
            f"{title}nearer.names": in_prose(n for n, each in ends.items() if each.high < 0),
            f"{title}farther": in_prose(n for n, each in ends.items() if each.low > 0),
        }
    temperatures = comparisons.by_strategy(results, "temperature", "people")
    if len(temperatures):
        found["unsure"] = in_prose(temperatures[temperatures < 1].index)
    gaps = comparisons.by_strategy(results, ECE)
    if len(gaps):
        found |= {"least.ece": float(gaps.min()), "least.ece.strategy": in_prose([gaps.idxmin()])}
    orders = comparisons.by_strategy(results, ORDER)
    if len(orders):
        less = _others(orders)[_others(orders) < orders.get("none", 0) - 0.1].sort_values()
        found["blurred"] = in_prose(name for name in less.index if name != "ls")
        found["best.order"] = in_prose(orders.sort_values(ascending=False).index[:3])
    found["strategies.others"] = in_words(len(_others(orders)))
    try:
        seeds = len(own.seeds("ls", ORDER))
        found["ls.order.seeds"] = of_seeds(own.below("ls", "none", ORDER), seeds)
    except NoRecordError:
        pass
    return found


def _others(scores: pd.Series) -> pd.Series:
    """Strategies beside hard labels."""
    return scores.drop(index=["none", "none-held"], errors="ignore")


def _apart(
    results: Results, metric: str, stage: str = "plain", bench: str = LENET
) -> dict[str, Estimate]:
    """How far each strategy is from hard labels by a metric, the one with the lowest first.

    These have seen the same images.
    """
    scores = comparisons.by_strategy(results, metric, stage, bench)
    if "none" not in scores.index:
        return {}
    rows = {name: row(name, bench) for name in _others(scores).sort_values().index}
    hard = {name: comparisons.hard_labels(results, own, bench) for name, own in rows.items()}
    return {
        name: results.difference((own, stage), (hard[name], stage), metric)
        for name, own in rows.items()
    }


def of_second(results: Results) -> Numbers:
    """Return how alike LeNet and [Re]'s network order the strategies that both have.

    By the cross entropy to the votes, as trained and with a temperature for people, and by how well
    their doubts follow those of people.
    """
    run = [name for name in OF_FCN if row(name, FCN) in results]
    seeds = max((len(results.records(row(name, FCN))) for name in run), default=0)
    planned = in_words(len(OF_FCN))
    found: Numbers = {
        "second": f"all {planned}"
        if len(run) == len(OF_FCN)
        else f"{in_words(len(run))} of the {planned}",
        "second.seeds": "one seed" if seeds == 1 else f"{in_words(seeds)} seeds",
    }
    for key, metric, stage in (
        ("second", CROSS_ENTROPY, "plain"),
        ("second.people", CROSS_ENTROPY, "people"),
        ("second.order", ORDER, "plain"),
    ):
        table = comparisons.of_networks(results, metric, stage)
        estimate = stats.rank_correlation(table[LENET], table[FCN])
        found |= known(with_interval(f"{key}.correlation", estimate))
    return found


def of_cifar(cifar: Results) -> Numbers:
    """Return which strategies have clearly less or more than hard labels by votes on CIFAR-10."""
    found: Numbers = {}
    for metric in (CROSS_ENTROPY, VARIATION, ORDER):
        ends = _apart(cifar, metric, bench=CIFAR10)
        if not ends:
            return {}
        found |= {
            f"cifar.{metric}.less": in_prose(n for n, each in ends.items() if each.high < 0),
            f"cifar.{metric}.more": in_prose(n for n, each in ends.items() if each.low > 0),
        }
    seeds = max(len(cifar.records(row(name, CIFAR10))) for name in ends)
    return found | {"cifar.seeds": "one seed" if seeds == 1 else f"{in_words(seeds)} seeds"}


def _other_by_variation(cifar: Results) -> bool:
    """Whether on CIFAR-10 no strategy is nearer by TV, and all that differ are farther."""
    said = of_cifar(cifar)
    if not said:
        raise NoRecordError("the fast network has no records")
    return said[f"cifar.{VARIATION}.less"] == "none" != said[f"cifar.{VARIATION}.more"]


def of_annotators(annotated: Results) -> Numbers:
    """Return what strategies make of one annotator's labels, and the order of all targets."""
    found = comparisons.by_strategy(annotated, CROSS_ENTROPY, bench=annotators.NAME)
    if "none" not in found.index:
        return {}
    order = [annotators.label(str(name)) for name in found.sort_values().index]
    seeds = max(len(annotated.records(row(str(n), annotators.NAME))) for n in found.index)
    said: Numbers = {"annotators.order": "; ".join(order), "annotators.seeds": in_words(seeds)}
    for stage, words in (("plain", "annotators"), ("people", "annotators.people")):
        ends = _apart(annotated, CROSS_ENTROPY, stage, bench=annotators.NAME)
        made = {name: each for name, each in ends.items() if name in annotators.STRATEGIES}
        said[f"{words}.farther"] = in_prose(n for n, each in made.items() if each.low > 0)
        said[f"{words}.nearer"] = in_prose(n for n, each in made.items() if each.high < 0)
    return said


def _run_on(complete: Collection[object]) -> str:
    """On how many of the sets every strategy has been run, as a sentence."""
    missing = [name for name in distributions.SETS if name not in complete]
    if not missing:
        return "Every strategy has been run on all of them"
    return (
        f"With all strategies {in_words(len(complete))} have been run; what is missing, of "
        f"{listed(missing)}, takes longest"
    )


def of_enhancement(enhanced: Results) -> Numbers:
    """Return the order of strategies on the sets of label distributions, and what it is worth."""
    found = _ranked(enhanced)
    return found and found | _smoothed(enhanced)


def _ranked(enhanced: Results) -> Numbers:
    """The order by mean ranks, and who is apart from hard labels by a test of ranks."""
    ranks = comparisons.enhancement_ranks(enhanced)
    if "none" not in ranks.index:
        return {}
    mean = ranks.mean(axis=1).sort_values(kind="stable")
    others = mean.drop(index=["none", "truth"], errors="ignore")
    complete = comparisons.enhancement(enhanced, KL).columns
    apart = stats.critical_difference(len(mean), len(complete))
    differ = [name for name in mean.index if ranks.loc["none", KL] - ranks.loc[name, KL] > apart]
    return {
        "enhancement.order": in_prose(mean.index),
        "enhancement.sets": in_words(len(complete)),
        "enhancement.run": _run_on(complete),
        "enhancement.hard": float(mean["none"]),
        "enhancement.best": in_prose(others.index[:1]),
        "enhancement.best.rank": float(others.iloc[0]),
        "enhancement.critical_difference": apart,
        "enhancement.apart": in_prose(name for name in differ if name != "truth"),
    }


def _smoothed(enhanced: Results) -> Numbers:
    """On how many of the sets label smoothing is clearly nearer than hard labels, or farther."""
    sets = comparisons.enhancement(enhanced, KL).columns
    ends = [
        enhanced.difference((f"{name} ls", "plain"), (f"{name} none", "plain"), KL) for name in sets
    ]
    return {
        "enhancement.ls.nearer": in_words(sum(each.high < 0 for each in ends)),
        "enhancement.ls.farther": in_words(sum(each.low > 0 for each in ends)),
    }


SENTENCES = {
    "Of these, CS-KD is nearest to people with both networks, as trained and with a temperature "
    "for people": (
        lambda r: all(
            list(r.of_both(CROSS_ENTROPY, stage).idxmin()) == ["cs_kd"] * 2
            for stage in ("plain", "people")
        )
    ),
    "Label smoothing blurs which images people doubt with both": lambda r: (
        list(r.of_both(ORDER).idxmin()) == ["ls"] * 2
    ),
    "hard labels' mark lies farthest to the right in each panel": lambda r: all(
        r.surest(image) == "none" for image in DIVIDED
    ),
    "They order the strategies as the truth does": lambda r: (
        list(r.of_known("votes_kl").sort_values().index)
        == list(r.of_known("kl_to_truth").sort_values().index)
    ),
    "TV by votes exceeds the exact TV by less than a hundredth": lambda r: (
        (r.of_known("votes_total_variation") - r.of_known("total_variation")).between(0, 0.01).all()
    ),
    "Scaled to the labels, hard labels have an ECE near what chance gives, and the same network is "
    "far from calibrated against people": lambda r: (
        r("none", "ece_15_left", "fitted") < 0.015 and r("none", ECE, "fitted") > 0.15
    ),
    "Only a network that is taught the distributions themselves does": (
        lambda r: r.only_truth_is_apart()
    ),
    "Only the true posterior, which is taught the distributions themselves, is": (
        lambda r: r.only_truth_is_apart()
    ),
    "TV says otherwise": lambda r: _other_by_variation(r.cifar.results),
    "The fast network is right less often than they are": lambda r: (
        r.cifar("none", "accuracy") < 0.99
    ),
    "With hard labels this network is as sure as it is right": lambda r: (
        abs(r.cifar("none", "temperature", "fitted") - 1) < 0.05
    ),
    "No strategy of LeNet's is calibrated against people": lambda r: min(r.all(ECE).values()) > 0.1,
    "the official labels nearer still": lambda r: r.of_target("official") < r.of_target("three"),
    "The shares of three people are a better target than anything that is made of one": lambda r: (
        r.of_target("three") < min(r.of_one().values())
    ),
    "label smoothing is nearer to people than hard labels, and blurs which images they doubt": (
        lambda r: (
            r("ls", CROSS_ENTROPY) < r("none", CROSS_ENTROPY)
            and r("ls", ORDER) < r("none", ORDER) - 0.1
        )
    ),
}
