"""Writes every number of docs/signatures.md from the committed results.

    python -m benchmarks.collapse.signatures_page

Seconds. The prose between the tables is written by hand; a table stands between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.collapse.accuracy_page import fill
from benchmarks.measure import RESULTS
from vr.signatures.document import load_shipped
from vr.signatures.fingerprint import SPECS
from vr.signatures.prescreen import load_prescreen

__all__ = ["PAGE", "main", "tables"]

PAGE = Path(__file__).parents[2] / "docs" / "signatures.md"
_KINDS = {"clear": "clear cases", "all": "all cases", "from_reference": "clear cases made from the reference itself"}


def main() -> None:
    """Writes the page."""
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables().items():
        page = fill(page, name, lines)
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE} is up to date")


def tables() -> dict[str, list[str]]:
    """Returns the lines of every table by its mark on the page."""
    found = json.loads((RESULTS / "signatures.json").read_text(encoding="utf-8"))
    latency = RESULTS / "prescreen_latency.json"
    return {
        "card": _cards({_KINDS[kind]: found["card"][kind] for kind in _KINDS}),
        "methods": _methods(found),
        "kinds": _kinds(found["by_kind"]),
        "library": _library(),
        "outside": _outside(found["outside"]),
        "families": _families(found["look_alike"]),
        "clusters": _clusters(found["clusters"]),
        "latency": _latency(json.loads(latency.read_text(encoding="utf-8"))) if latency.exists() else [],
    }


def _cards(cards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "| judged on | cases | AUROC | collapsed, stopped | healthy, stopped | ECE | Brier | Spearman |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, card in cards.items():
        cells = [_cell(card[key]) for key in ("auroc",)]
        cells += [_percent(card[key]) for key in ("stopped", "healthy_stopped")]
        cells += [_cell(card[key]) for key in ("ece", "brier", "spearman")]
        lines.append(f"| {name} | {card['cases'][0]} ({card['positives'][0]} collapsed) | {' | '.join(cells)} |")
    return lines


def _cell(found: list[float]) -> str:
    return f"{found[0]:.3f}" if len(found) == 1 else f"{found[0]:.3f} ({found[1]:.3f} to {found[2]:.3f})"


def _percent(found: list[float]) -> str:
    value, low, high = (100 * x for x in found)
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def _methods(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "| probability by | AUROC, clear | AUROC, all | Spearman, all | chosen by inner folds |",
        "|---|---|---|---|---|",
    ]
    for name, cards in found["methods"].items():
        words = "head on the fingerprint" if name == "head" else f"vote of the {name.split()[1]} nearest"
        chosen = f"{found['chosen'].get(name, 0)} cases"
        cells = [_cell(cards["clear"]["auroc"]), _cell(cards["all"]["auroc"]), _cell(cards["all"]["spearman"])]
        lines.append(f"| {words} | {' | '.join(cells)} | {chosen} |")
    lead = found["head_over_nearest"]["auroc"]
    lines.append(
        f"\nThe head's lead in AUROC over the best of the votes, which is chosen with hindsight: {lead[0]:+.3f} "
        f"({lead[1]:+.3f} to {lead[2]:+.3f})."
    )
    return lines


def _kinds(groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "| clear cases of kind | healthy | stopped | collapsed | not stopped | AUROC |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in groups.items():
        counts = " | ".join(str(each[key]) for key in ("healthy", "false_alarms", "collapsed", "misses"))
        lines.append(f"| {name} | {counts} | {each['auroc']:.3f} |" if "auroc" in each else f"| {name} | {counts} | |")
    return lines


def _library() -> list[str]:
    shipped, fitted = load_shipped(), load_prescreen()
    lines = ["| kind | signatures | datasets | healthy | grey | collapsed |", "|---|---|---|---|---|---|"]
    for kind in ("lineage", "damage", "harmless", "real"):
        these = [each for each in shipped.signatures if each.origin.kind == kind]
        labels = [each.outcome.label for each in these]
        counts = " | ".join(str(labels.count(label)) for label in ("healthy", "grey", "collapsed"))
        lines.append(f"| {kind} | {len(these)} | {len({each.origin.dataset for each in these})} | {counts} |")
    lines.append(
        f"\n{len(shipped.signatures)} signatures in all. Version {shipped.provenance['version']}; the pre-screen stops "
        f"from a probability of {100 * fitted.calibrated.reject_from:.1f} %."
    )
    return lines


def _outside(found: Mapping[str, Any]) -> list[str]:
    lines = ["| cases | number | outside the library | median similarity to the nearest |", "|---|---|---|---|"]
    for name, each in found["by_label"].items():
        share = 100 * each["outside"] / each["cases"]
        lines.append(
            f"| {name} | {each['cases']} | {each['outside']} ({share:.0f} %) | {each['median_similarity']:.2f} |"
        )
    least, most = found["thresholds_held_out"]
    lines.append(
        f"\nThe threshold is a similarity of {found['threshold']:.3f}; without a case's dataset {least:.3f} to "
        f"{most:.3f}."
    )
    return lines


def _families(found: Mapping[str, Any]) -> list[str]:
    lines = ["| collapsed lineages of | cases | taken for, most often |", "|---|---|---|"]
    for name, each in sorted(found["taken_for"].items(), key=lambda item: -item[1]["cases"]):
        taken = ", ".join(f"{_words(other)} {count}" for other, count in each["taken_for"].items())
        lines.append(f"| {_words(name)} | {each['cases']} | {taken} |")
    lines.append(
        f"\nThe family is named rightly for {100 * found['right_family']:.0f} % of {found['cases']} collapsed lineages "
        f"(the commonest family is {100 * found['commonest_family']:.0f} % of them); Spearman between the depth of the "
        f"five nearest and the true one is {found['depth_spearman']:.2f}."
    )
    return lines


def _clusters(found: list[Mapping[str, Any]]) -> list[str]:
    lines = [
        "| cluster | cases | datasets | made by, most often | median generation | median loss | stands out by |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, each in enumerate(found, 1):
        made = ", ".join(f"{_words(name)} {count}" for name, count in each["sources"].items())
        signs = ", ".join(f"{SPECS[name].label} {value:+.1f}" for name, value in each["stands_out"].items())
        generation = "" if each["median_generation"] is None else f"{each['median_generation']:g}"
        lines.append(
            f"| {number} | {each['cases']} | {each['datasets']} | {made} | {generation} | "
            f"{100 * each['median_harm']:.0f} % | {signs} |"
        )
    return lines


def _latency(found: Mapping[str, Any]) -> list[str]:
    lines = ["| step | seconds, median | least to most | processor seconds |", "|---|---|---|---|"]
    for name, each in found["seconds"].items():
        lines.append(
            f"| {name} | {each['median']:.2f} | {each['least']:.2f} to {each['most']:.2f} | "
            f"{each['processor_median']:.2f} |"
        )
    lines.append(
        f"\n{found['rows']:,} x {found['columns']} against as many, {found['threads']} threads, {found['repeats']} "
        "rounds."
    )
    return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    main()
