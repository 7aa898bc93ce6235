"""What the chapter on people says of its records, and when it is true."""

import pandas as pd

from ldlstudy import stats, studies
from ldlstudy.data import distributions
from ldlstudy.report.numbers import Numbers
from ldlstudy.report.results import Results
from ldlstudy.report.sentences import NoRecordError, Reading, in_words, listed, of_seeds
from ldlstudy.studies.people import annotators, comparisons
from ldlstudy.studies.people.runs import FCN, LENET, OF_FCN, row
from ldlstudy.studies.strategies import in_prose

KL = "kl_to_truth"
DIVIDED = (8, 14, 20)  # of the images that were kept: a pullover, a coat and a shirt
ANSWERING = ("none", "ls", "cs_kd", "mixup", "adacos")  # whose networks answer them
CROSS_ENTROPY, ECE, ORDER = "votes_cross_entropy", "votes_ece", "votes_entropy_order"


class Facts(Reading):
    """LeNet on Fashion-MNIST and what else the chapter is of, as the conditions read it."""

    def __init__(
        self, results: Results, known: Results, annotated: Results, enhanced: Results
    ) -> None:
        super().__init__(results, LENET)
        self.known, self.annotated, self.enhanced = known, annotated, enhanced

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
    )


def written(results: Results) -> Numbers:
    """Return the sentences that are written from the records; what has none is not in them.

    Nearer and farther than hard labels are strategies whose difference has an interval on one side
    of zero. Hard labels on fewer images are none of the strategies that are counted.
    """
    own = Facts(results, *(Results([], {}) for _ in range(3)))
    found: Numbers = {}
    for stage, title in (("plain", ""), ("people", "people.")):
        scores = comparisons.by_strategy(results, CROSS_ENTROPY, stage)
        if len(scores) < 2 or "none" not in scores.index:
            continue
        order = list(_others(scores).sort_values().index)
        ends = {
            name: results.difference((row(name), stage), (row("none"), stage), CROSS_ENTROPY)
            for name in order
        }
        found |= {
            f"{title}nearest": in_prose(order[:3]),
            f"{title}nearer": in_words(sum(each.high < 0 for each in ends.values())),
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
    second = sum(row(name, FCN) in results for name in OF_FCN)
    found |= {"second": in_words(second), "second.all": in_words(len(OF_FCN))}
    try:
        seeds = len(own.seeds("ls", ORDER))
        found["ls.order.seeds"] = of_seeds(own.below("ls", "none", ORDER), seeds)
    except NoRecordError:
        pass
    return found


def _others(scores: pd.Series) -> pd.Series:
    """Strategies beside hard labels."""
    return scores.drop(index=["none", "none-held"], errors="ignore")


def of_annotators(annotated: Results) -> Numbers:
    """Return what strategies make of one annotator's labels, and the order of all targets."""
    found = comparisons.by_strategy(annotated, CROSS_ENTROPY, bench=annotators.NAME)
    if "none" not in found.index:
        return {}
    made = found[[name in annotators.STRATEGIES for name in found.index]]
    order = [annotators.label(str(name)) for name in found.sort_values().index]
    return {
        "annotators.order": "; ".join(order),
        "annotators.farther": in_prose(made[made > made["none"]].index),
        "annotators.nearer": in_prose(made[made < made["none"]].index),
        "annotators.seeds": in_words(
            max(len(annotated.records(row(str(n), annotators.NAME))) for n in found.index)
        ),
    }


def of_enhancement(enhanced: Results) -> Numbers:
    """Return the order of strategies on the sets of label distributions, and what it is worth."""
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
        "enhancement.missing": listed(n for n in distributions.SETS if n not in complete),
        "enhancement.hard": float(mean["none"]),
        "enhancement.best": in_prose(others.index[:1]),
        "enhancement.best.rank": float(others.iloc[0]),
        "enhancement.critical_difference": apart,
        "enhancement.apart": in_prose(differ),
    }


SENTENCES = {
    "hard labels' mark lies farthest to the right in each panel": lambda r: all(
        r.surest(image) == "none" for image in DIVIDED
    ),
    "They order the strategies as the truth does": lambda r: (
        list(r.of_known("votes_kl").sort_values().index)
        == list(r.of_known("kl_to_truth").sort_values().index)
    ),
    "TV by votes is higher than it is by less than a hundredth": lambda r: (
        (r.of_known("votes_total_variation") - r.of_known("total_variation")).between(0, 0.01).all()
    ),
    "Scaled to the labels, hard labels have an ECE near what chance gives, and the same network is "
    "far from calibrated against people": lambda r: (
        r("none", "ece_15_left", "fitted") < 0.015 and r("none", ECE, "fitted") > 0.15
    ),
    "No strategy is calibrated against people": lambda r: min(r.all(ECE).values()) > 0.1,
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
