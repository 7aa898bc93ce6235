"""The ledger against the papers' tables, the chapters' verdicts and rules worked by hand."""

import html
import io
import re

import nbformat
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ldlstudy import studies
from ldlstudy.experiment import records
from ldlstudy.experiment.plan import LEVELS
from ldlstudy.experiment.records import Record
from ldlstudy.report import claims
from ldlstudy.report.claims import NOT_RUN
from ldlstudy.report.tables import published
from ldlstudy.studies.bench import DATASETS
from ldlstudy.studies.ils import ranks
from ldlstudy.studies.ledger import tables, verdicts
from ldlstudy.studies.ledger.verdicts import CATEGORIES, CONTRADICTED, PAPERS
from ldlstudy.studies.smoothing import interpolation
from tests.conftest import ROOT

LISTED = published("ledger", ROOT / "book" / "published")


@pytest.fixture(scope="module")
def evidence():
    return {prefix: verdicts.evidence(prefix) for prefix in PAPERS}


@pytest.fixture(scope="module")
def ledgers(evidence):
    return {prefix: verdicts.of_paper(prefix, found) for prefix, found in evidence.items()}


def compared(*pairs, expects="higher"):
    """Comparisons X-1a, X-1b, ... of given levels and verdicts."""
    names = [f"X-1{letter}" for letter in "abcdefgh"[: len(pairs)]]
    return pd.DataFrame(list(pairs), names, ["level", "verdict"]).assign(expects=expects)


def test_the_weakest_verdict_at_the_best_level_decides():
    said = verdicts.one_verdict(
        compared(
            ("quick", "does not carry over"),
            ("", NOT_RUN),
            ("reduced", "carries over"),
            ("reduced", "carries over (direction only)"),
            ("reduced", "carries over"),
        )
    )
    assert said == {
        "verdict": "carries over (direction only)", "level": "reduced", "compared": 3, "held": 2,
        "deciding": "X-1d",
    }  # fmt: skip
    for nothing in (compared(), compared(("", NOT_RUN), ("", NOT_RUN))):
        said = verdicts.one_verdict(nothing)
        assert (said["verdict"], said["level"], said["deciding"]) == (NOT_RUN, "", "")


def test_the_claims_own_data_decide_where_the_best_level_has_them():
    of = compared(
        ("fast", "carries over"),
        ("fast", "does not carry over"),  # on another set
        ("fast", "carries over (direction only)"),
        ("reduced", "does not carry over"),
    )
    said = verdicts.one_verdict(of, ["X-1a", "X-1c", "X-1d"])
    assert (said["verdict"], said["deciding"]) == ("carries over (direction only)", "X-1c")
    assert (said["compared"], said["held"]) == (2, 1)
    elsewhere = verdicts.one_verdict(of, ["X-1d"])  # no more than a lower level has
    assert (elsewhere["deciding"], elsewhere["compared"]) == ("X-1b", 3)


def test_own_data_are_sets_of_the_book_and_decide(evidence, ledgers):
    named = {name for listed in LISTED["data"].dropna() for name in listed.split()}
    assert named <= set(DATASETS)
    for prefix, claimed in ledgers.items():
        found = evidence[prefix]
        for key, claim in claimed[claimed["deciding"] != ""].iterrows():
            own = set(str(LISTED.loc[key, "data"]).split())
            there = [
                name
                for name, line in found.judged.iterrows()
                if verdicts.number(str(name)) == key and line["level"] == claim["level"]
            ]
            if any(found.on(name) <= own for name in there):
                assert found.on(claim["deciding"]) <= own, key
    assert evidence["CS"].on("CS-1e") == {"cifar10"}


def test_one_case_shows_what_can_happen():
    pairs = [
        ("paper", "not reproduced"),
        ("paper", "reproduced"),
        ("paper", "direction only"),
        ("quick", "does not carry over"),
    ]
    said = verdicts.one_verdict(compared(*pairs, expects="can be higher"))
    assert (said["verdict"], said["deciding"]) == ("reproduced", "X-1b")
    assert (said["compared"], said["held"]) == (3, 1)
    mixed = compared(*pairs)
    mixed.loc[["X-1a", "X-1b"], "expects"] = "can be lower"
    assert verdicts.one_verdict(mixed)["deciding"] == "X-1c"  # weaker than what the two show
    none = verdicts.one_verdict(compared(*pairs[:1], *pairs[3:], expects="can be higher"))
    assert none["verdict"] == "not reproduced"


OWN = [  # as the definitions page orders them, the weakest last
    "reproduced", "direction only", "undecided", "not reproduced", "not reproduced (reversed)",
]  # fmt: skip
STOOD_IN = [
    "carries over", "carries over (direction only)", "undecided", "does not carry over"
]  # fmt: skip


@given(
    st.lists(
        st.sampled_from(list(LEVELS)).flatmap(
            lambda level: st.tuples(
                st.just(level), st.sampled_from([*(OWN if level == "paper" else STOOD_IN), NOT_RUN])
            )
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_verdict_is_of_the_best_level_and_none_there_is_weaker(pairs):
    said = verdicts.one_verdict(compared(*pairs))
    run = [(level, verdict) for level, verdict in pairs if verdict != NOT_RUN]
    if not run:
        assert said["verdict"] == NOT_RUN
        return
    best = min((level for level, _ in run), key=list(LEVELS).index)
    there = [verdict for level, verdict in run if level == best]
    assert said["level"] == best
    order = OWN if best == "paper" else STOOD_IN
    assert said["verdict"] == max(there, key=order.index)
    assert (said["compared"], said["held"]) == (len(there), there.count(order[0]))


@pytest.mark.parametrize(
    ("comparison", "claim"),
    [("CS-3a", "CS-3"), ("ILS-15b", "ILS-15"), ("RE-2", "RE-2"), ("LD-16a", ""), ("ILS-T1a", "")],
)
def test_comparisons_belong_to_a_claim_by_their_number(comparison, claim):
    assert verdicts.number(comparison) == claim
    with pytest.raises(ValueError, match="unknown paper 'XY'; known: CS, ILS, LD, RE"):
        verdicts.evidence("XY")


def test_fifteen_claims_a_paper_each_with_its_place_in_a_chapter():
    assert list(LISTED.index) == [f"{prefix}-{n}" for prefix in PAPERS for n in range(1, 16)]
    for prefix, study in PAPERS.items():
        keys = published(study.claims).index
        assert all(str(key).startswith(f"{prefix}-") for key in keys)
        assert {verdicts.number(str(key)) for key in keys} - {""} <= set(LISTED.index)
        notebook = nbformat.read(ROOT / "notebooks" / f"{study.chapter}.ipynb", as_version=4)
        text = "".join(cell.source for cell in notebook.cells)
        sections = LISTED["section"][LISTED.index.str.startswith(f"{prefix}-")]
        assert [section for section in sections if f"({section})=" not in text] == []


def test_the_papers_own_tables_contradict_nine_claims():
    found = verdicts.against()
    wanted = ["CS-5", "CS-8", "CS-11", "ILS-12", "LD-7", "LD-10", "LD-11", "LD-14", "LD-15"]
    assert sorted(found) == sorted(wanted)
    assert len(found["CS-8"]) == 2  # Tiny ImageNet and MIT67
    (nemenyi,) = found["ILS-12"]
    assert "5.02" in nemenyi
    assert "No LS + TempS (3.91), LS + TempS (4.37)" in nemenyi
    assert nemenyi.count("(") == 2


def test_verdicts_are_those_of_the_chapters(evidence):
    """Judged from the records as the chapters write it."""
    for prefix, study in PAPERS.items():
        known = studies.recorded(study.evidence, "paper") | studies.recorded(study.quick, "quick")
        if prefix == "ILS":  # whose claims on image sets are on all complete ones together
            known |= ranks.pooled(known)
        judged = claims.judge(known, published(study.claims))
        if prefix == "RE":  # whose chapter interpolates
            judged, known = interpolation.judged(known), interpolation.with_series(known)
        pd.testing.assert_frame_equal(evidence[prefix].judged.loc[judged.index], judged)
        for name, line in judged[judged["verdict"] != NOT_RUN].iterrows():
            made = evidence[prefix].of(str(name))
            assert {r.id for r in made} == {
                r.id for side in ("left", "right") for r in known.records(line[side])
            }
            assert all(records.find(record.id).id == record.id for record in made)


def test_nothing_is_reversed_where_something_stands_in_for_the_papers_own(ledgers, evidence):
    every = pd.concat([found.judged for found in evidence.values()] + list(ledgers.values()))
    run = every[every["verdict"] != NOT_RUN]
    own = run["level"] == "paper"
    assert set(run["verdict"][own]) <= set(OWN)
    assert set(run["verdict"][~own]) <= set(STOOD_IN)
    assert own.sum() > 20
    assert (~own).sum() > 20


def test_claims_of_level_and_of_what_can_happen_are_judged_as_such(evidence):
    expects = pd.concat([found.judged["expects"] for found in evidence.values()])
    own = {key: verdicts.number(str(key)) for key in expects.index}
    assert {own[key] for key in expects.index[expects == "level"]} == {"LD-2", "LD-9", "RE-5"}
    can = expects.index[expects.str.startswith("can", na=False)]
    assert {own[key] for key in can} == {"LD-8"}


def test_every_claim_has_its_line_and_its_category(ledgers, evidence):
    everything = pd.concat(list(ledgers.values()))
    assert list(everything.index) == list(LISTED.index)
    assert set(everything["category"]) <= set(CATEGORIES)
    assert (verdicts.counts(ledgers).sum(axis=1) == 15).all()
    idle = everything[everything["verdict"] == NOT_RUN]
    assert idle["note"].notna().all()  # each says what is missing
    contradicted = idle["against"].str.len() > 0
    assert (idle["category"][contradicted] == CONTRADICTED).all()
    values = verdicts.numbers(ledgers)
    assert sum(values[category] for category in CATEGORIES) == values["claims"] == 60
    ran = 60 - values[CONTRADICTED] - values[NOT_RUN]
    assert sum(values[f"level.{level}"] for level in LEVELS) == ran
    unrun = values["contradicted"] - values["contradicted.judged"]
    assert unrun == values[CONTRADICTED]
    names = [verdicts.number(str(k)) for found in evidence.values() for k in found.judged.index]
    found = verdicts.comparisons(evidence)
    assert (found["comparisons"], found["further"]) == (len(names), names.count(""))


def test_comparisons_and_claims_are_reconciled_by_paper(evidence):
    found = verdicts.comparisons(evidence)
    for key in ("comparisons", "belong", "compared", "further"):
        assert found[key] == sum(found[f"{prefix}.{key}"] for prefix in PAPERS)
    for prefix in PAPERS:
        names = [str(name) for name in evidence[prefix].judged.index]
        of = [re.match(r"[A-Z]+-\d+", name) for name in names]
        claimed = [each[0] for each in of if each and each[0] in LISTED.index]
        expected = (len(names), len(claimed), len(set(claimed)), len(names) - len(claimed))
        keys = ("comparisons", "belong", "compared", "further")
        assert tuple(found[f"{prefix}.{key}"] for key in keys) == expected


def test_claims_that_share_networks_are_told(evidence, ledgers):
    found = verdicts.shared(ledgers, evidence)
    sides = set()
    for prefix, claimed in ledgers.items():
        lines = evidence[prefix].judged.loc[claimed.loc[claimed["deciding"] != "", "deciding"]]
        sides |= {frozenset(each) for each in lines[["left", "right"]].to_numpy()}
    assert found["pairs"] == len(sides) < 59
    same = found["repeated"].split("; ")
    assert "CS-1, CS-4 and CS-14" in same
    for group in same:
        keys = re.findall(r"[A-Z]+-\d+", group)
        prefix = keys[0].split("-")[0]
        lines = evidence[prefix].judged.loc[ledgers[prefix].loc[keys, "deciding"]]
        assert lines["difference"].nunique() == 1


def small(*claims):
    """Ledgers of papers, from pairs of a paper and its claims' categories and levels."""
    return {
        prefix: pd.DataFrame(lines, columns=["category", "level"]).assign(
            against=[[] for _ in lines], verdict=[line[0] for line in lines]
        )
        for prefix, lines in claims
    }


def test_bars_show_every_level_that_has_verdicts_without_colours():
    shown = {
        "ILS": [("reproduced", "paper"), ("carries over", "part"), ("carries over", "fast")],
        "RE": [("carries over", "fast"), (NOT_RUN, "")],
    }
    page = tables.summary(small(*shown.items())).html
    strips = re.findall(r'class="strip (\w+)" style="flex-grow: (\d)"', page)
    assert strips == [
        ("paper", "1"), ("part", "1"), ("fast", "1"), ("fast", "1"), ("none", "1")
    ]  # fmt: skip
    caption = page.split("<figcaption>")[1]
    for level, number in {"paper": 1, "part": 1, "fast": 2}.items():
        words = html.escape(LEVELS[level])
        assert f"{number} on {words}" in caption
        assert f'<span class="strip {level}"></span> {words}</li>' in page
    for level in ("reduced", "quick"):
        assert LEVELS[level] not in page
    assert f"2 carries over (1 on {html.escape(LEVELS['part'])}, 1 on " in page
    style = (ROOT / "book" / "_static" / "ledger.css").read_text(encoding="utf-8")
    patterns = re.findall(r"\.strip\.(\w+) {(.*)}", style)
    assert {level for level, _ in patterns} == {*LEVELS, "none"} - {"quick"}  # which is left empty
    assert len({pattern for _, pattern in patterns}) == len(patterns)


def test_the_page_has_a_line_a_claim_with_words_and_links(evidence, ledgers):
    for prefix, claimed in ledgers.items():
        bundle = tables.table(prefix, claimed, evidence[prefix])._repr_mimebundle_()
        page = bundle["text/html"]
        assert "nan" not in re.findall(r"[a-z]+", page)
        for key, claim in claimed.iterrows():
            line = page.split(f'id="{key.lower()}"')[1].split("</tr>")[0]
            assert f'{PAPERS[prefix].chapter}.html#{claim["section"]}">{key}</a>' in line
            assert tables.badge(claim["category"]) in line
            if claim["deciding"]:
                beside = f"{tables.badge(claim['category'])}<small>"
                assert beside + html.escape(LEVELS[claim["level"]]) in line
                for record in evidence[prefix].of(claim["deciding"]):
                    place = f"{record.specification['dataset']}.jsonl#{record.anchor}"
                    assert f'<a href="../book/results/{place}">{record.name}</a>' in page
        csv = pd.read_csv(io.StringIO(bundle["text/csv"]), index_col=0)
        assert list(csv.index) == list(claimed.index)
        assert list(csv["verdict"]) == list(claimed["verdict"])
        made = evidence[prefix].of(csv["deciding"].dropna().iloc[0])
        first = csv.loc[csv["deciding"].first_valid_index(), "records"]
        assert first.split() == [record.anchor for record in made]


def test_the_printed_pair_is_that_of_the_comparison(evidence, ledgers):
    """RE-1 is printed for α = .05 and decided by α = .1; ILS-7 quotes what decides."""
    page = tables.table("RE", ledgers["RE"], evidence["RE"]).html
    assert "99.06 → 99.33 %<small>beside ours: 99.06 % → 99.31 %</small>" in page
    lines = {key: page.split(f'id="{key}"')[1].split("</tr>")[0] for key in ("re-6", "re-15")}
    assert "beside ours" not in lines["re-6"]  # a stand-in has no printed number
    assert "beside ours" not in lines["re-15"]
    ils = tables.table("ILS", ledgers["ILS"], evidence["ILS"]).html
    assert "beside ours" not in ils.split('id="ils-7"')[1].split("</tr>")[0]


def test_the_summary_says_its_counts_in_words(ledgers):
    shown = tables.summary(ledgers)
    told = re.search(r'aria-label="([^"]*)"', shown.html)
    assert told
    for prefix, line in verdicts.counts(ledgers).iterrows():
        papers = dict(part.split(": ", 1) for part in told[1].split(". ", 1)[1].split("; "))
        said = re.sub(r" \([^()]*\d on [^()]*\)", "", papers[PAPERS[prefix].paper].rstrip("."))
        assert said == ", ".join(
            html.escape(f"{n} {category}") for category, n in line.items() if n
        )
    assert pd.read_csv(io.StringIO(shown.csv), index_col=[0, 1]).to_numpy().sum() == 60


def test_every_category_has_a_colour():
    style = (ROOT / "book" / "_static" / "ledger.css").read_text(encoding="utf-8")
    colours = re.findall(r"^\.v(\d+) { background: (#\w+);", style, re.MULTILINE)
    assert [int(number) for number, _ in colours] == list(range(len(CATEGORIES)))
    assert len({colour for _, colour in colours}) == len(colours)


def test_a_number_says_on_which_data_and_network_it_is():
    def made(dataset, model):
        return Record({"dataset": dataset, "model": model}, {}, {}, {})

    runs = [("cifar10", "lenet"), ("cifar100", "lenet"), ("cifar10", "lenet")]
    assert tables.place([made(*run) for run in runs]) == "CIFAR-10, CIFAR-100, LeNet"
    assert tables.place([made("six_gaussians", "mlp64x5")]) == "six Gaussians"


def test_the_source_of_a_number_says_seeds_and_devices():
    def made(seed, replicates, device):
        return Record({"seed": seed, "replicates": replicates}, {}, {}, {"device": device})

    both = [made(0, 1, "GPU <x>"), made(1, 1, "CPU"), made(0, 1, "CPU"), made(1, 1, "CPU")]
    assert tables.source(both) == "2 seeds; CPU, GPU &lt;x&gt;"
    assert tables.source([*both, made(2, 1, "CPU")]) == "2 seeds; CPU, GPU &lt;x&gt;"
    assert tables.source(both[:3]) == "one network a side; CPU, GPU &lt;x&gt;"
    assert tables.source([both[0]]) == "one network a side; GPU &lt;x&gt;"
    assert tables.source([made(0, 100, "CPU")]) == "100 replicates; CPU"
