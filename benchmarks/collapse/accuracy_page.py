"""Writes every number and picture of docs/accuracy.md from the committed results.

    python -m benchmarks.collapse.accuracy_page

Seconds. The prose between the tables is written by hand; a table stands between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq

from benchmarks.collapse.evidence import RESULTS, RULED_OUT_NOISE, is_settled
from experiments.calibrate import LINES, NOISES, SIZES
from vr.detector.calibration import load_calibration

__all__ = ["fill", "main", "tables"]

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
IMAGES = PAGE.parent / "images"
_SITUATIONS = {
    "trained": "proxies and statistics",
    "untrained": "statistics alone",
    "trained_for_targets": "proxies and statistics, targets named",
    "untrained_for_targets": "statistics alone, targets named",
    "without_reference": "no reference",
}
_RATES = ("accuracy", "fpr", "fnr", "collapsed_approved", "healthy_rejected", "review_share")
_COLOURS = {"healthy": "#2a7f62", "grey": "#9a9a9a", "collapsed": "#b3432b"}


def main() -> None:
    """Writes the page and its pictures."""
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables().items():
        page = fill(page, name, lines)
    PAGE.write_text(page, encoding="utf-8")
    matplotlib.rcParams.update({"svg.hashsalt": "vr", "font.size": 9, "axes.spines.top": False})
    _draw_answers()
    _draw_peers()
    print(f"{PAGE} and its pictures are up to date")


def fill(page: str, name: str, lines: Sequence[str]) -> str:
    """Returns the page with what stands between `<!-- name -->` and `<!-- /name -->` replaced.

    Raises:
      ValueError: The page does not have the two marks.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"the page has no place for {name}")
    return pattern.sub(lambda found: found[1] + "\n".join(lines) + "\n" + found[2], page)


def tables() -> dict[str, list[str]]:
    """Returns the lines of every table by its mark on the page."""
    heads = load_calibration().heads
    trained = heads["trained"].card
    tables = {
        "cards": _cards({name: head.card for name, head in heads.items()}),
        "thresholds": _thresholds(),
        "study": _study(),
        "kinds": _groups(trained["by_kind"], "kind"),
        "sizes": _groups({name: trained["by_reference_rows"][name] for name in SIZES}, "rows of the reference"),
        "noises": _groups({name: trained["by_label_noise"][name] for name in NOISES}, "noise of the label"),
        "sources": _groups(trained["by_source"], "made by"),
        "datasets": _groups(
            {k: v for k, v in trained["by_dataset"].items() if v["misses"] + v["false_alarms"]}, "dataset"
        ),
        "labels": _labels(),
        "ladders": _ladders(),
    }
    if (path := RESULTS / "in_situ.json").exists():
        tables["in_situ"] = _in_situ(json.loads(path.read_text(encoding="utf-8")))
    for name in ("peers", "peers_for_targets", "ablation", "whole_cascade"):
        if (path := RESULTS / f"{name}.json").exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            tables[name] = _compared(found)
            if any_label := {tool: each["any_label"] for tool, each in found.items() if "any_label" in each}:
                tables[f"{name}_any_label"] = _compared(any_label)
    return tables


def _cards(cards: Mapping[str, Mapping[str, Any]]) -> list[str]:
    lines = [
        "| judged from | cases | AUROC | accuracy | false alarms | misses | collapsed approved | healthy rejected | "
        "`review` | ECE | Spearman |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for situation, card in cards.items():
        for kind in (line for line in LINES if line in card):
            found = card[kind]
            cells = [_cell(found.get(key), key) for key in ("auroc", *_RATES, "ece", "spearman")]
            name = f"{_SITUATIONS[situation]}, {kind.replace('_', ' ')}"
            lines.append(f"| {name} | {found['cases'][0]} ({found['positives'][0]} collapsed) | {' | '.join(cells)} |")
    return lines


def _cell(found: Sequence[float] | None, key: str) -> str:
    if not found:
        return ""
    if len(found) == 1:
        return f"{found[0]:.3f}"
    value, low, high = found
    if key in _RATES:
        return f"{100 * value:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _thresholds() -> list[str]:
    lines = [
        "| judged from | `review` from risk | two-way answer from | `reject` from risk | features read |",
        "|---|---|---|---|---|",
    ]
    for situation, head in load_calibration().heads.items():
        names = ", ".join(f"`{n}`" for n, w in zip(head.head.names, head.head.weights, strict=True) if w > 0)
        lines.append(
            f"| {_SITUATIONS[situation]} | {100 * head.approve_below:.1f} | {100 * head.detected_from:.1f} | "
            f"{100 * head.reject_from:.1f} | {names} |"
        )
    return lines


def _study() -> list[str]:
    """What became of the cases on their way to being judged."""
    labels = pq.read_table(RESULTS / "labels.parquet").to_pylist()
    measured = set(pq.read_table(RESULTS / "features.parquet", columns=["case"])["case"].to_pylist())
    judged = set(pq.read_table(RESULTS / "answers.parquet", columns=["case"])["case"].to_pylist())
    steps = {
        "labelled": labels,
        "of which changed anything": [row for row in labels if not row["unchanged"]],
        "of which the label says something": [row for row in labels if is_settled(row, RULED_OUT_NOISE)],
        "of which features are measured": [
            row for row in labels if is_settled(row, RULED_OUT_NOISE) and row["case"] in measured
        ],
        "judged": [row for row in labels if row["case"] in judged],
        "of which the label is settled": [row for row in labels if row["case"] in judged and is_settled(row)],
    }
    lines = ["| | cases | datasets | rows of the reference |", "|---|---|---|---|"]
    for step, rows in steps.items():
        sizes = [row["reference_rows"] for row in rows]
        datasets = len({row["dataset"] for row in rows})
        lines.append(f"| {step} | {len(rows)} | {datasets} | {min(sizes):,} to {max(sizes):,} |")
    return lines


def _groups(groups: Mapping[str, Mapping[str, int]], title: str) -> list[str]:
    lines = [f"| {title} | healthy | false alarms | collapsed | misses | AUROC |", "|---|---|---|---|---|---|"]
    for name, found in groups.items():
        counts = " | ".join(str(found[key]) for key in ("healthy", "false_alarms", "collapsed", "misses"))
        auroc = f"{found['auroc']:.3f}" if "auroc" in found else ""
        lines.append(f"| {name} | {counts} | {auroc} |")
    return lines


def _labels() -> list[str]:
    columns = ["kind", "label", "seen", "harm", "noise", "unchanged"]
    rows = [row for row in pq.read_table(RESULTS / "answers.parquet", columns=columns).to_pylist() if is_settled(row)]
    lines = ["| kind | healthy | grey | collapsed |", "|---|---|---|---|"]
    for seen in (False, True):
        for kind in ("real", "harmless", "damage", "lineage"):
            labels = [row["label"] for row in rows if (row["kind"], row["seen"]) == (kind, seen)]
            if labels:
                name = f"{kind}, made from the reference" if seen else kind
                lines.append(f"| {name} | {' | '.join(str(labels.count(label)) for label in _COLOURS)} |")
    return lines


def _ladders() -> list[str]:
    lines = [
        "| dimension | threshold | healthy that fail | collapsed that pass | AUROC of the score alone |",
        "|---|---|---|---|---|",
    ]
    for name, ladder in load_calibration().ladders["trained"].items():
        rates = " | ".join(f"{100 * rate:.0f} %" for rate in (ladder.false_alarms, ladder.misses))
        lines.append(f"| {name} | {ladder.threshold:.0f} | {rates} | {ladder.auroc:.3f} |")
    return lines


def _in_situ(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "| weight of each own case | AUROC, clear | false alarms | misses | Spearman, all | gain in AUROC | "
        "gain in Spearman |",
        "|---|---|---|---|---|---|---|",
    ]
    for weight, each in found["by_weight"].items():
        gains = " | ".join(f"{v:+.4f} ({low:+.4f} to {high:+.4f})" for v, low, high in each["gain"].values())
        rates = " | ".join(f"{100 * each[key]:.1f} %" for key in ("fpr", "fnr"))
        lines.append(f"| {weight} | {each['auroc']:.4f} | {rates} | {each['spearman']:.3f} | {gains or ' | '} |")
    lines.append(f"\n{found['rungs']:.0f} own cases on average. Rates are those of the answer from one half.")
    return lines


def _compared(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "| | AUROC, clear | by its own number | accuracy | false alarms | misses | Spearman, all | lead in AUROC | "
        "lead in Spearman |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, each in sorted(found.items(), key=lambda item: -item[1]["clear"]["auroc"][0]):
        clear, lead = each["clear"], each.get("lead")
        leads = [f"{v[0]:+.3f} ({v[1]:+.3f} to {v[2]:+.3f})" for v in lead.values()] if lead else ["", ""]
        own = f"{each['own']['auroc']:.3f}" if "own" in each else ""
        rates = [f"{100 * clear[key][0]:.1f} %" for key in ("accuracy", "fpr", "fnr")]
        lines.append(
            f"| {name} | {clear['auroc'][0]:.3f} | {own} | {' | '.join(rates)} | {each['all']['spearman'][0]:.3f} | "
            f"{' | '.join(leads)} |"
        )
    return lines


def _draw_answers() -> None:
    """Probability against measured harm, case by case."""
    table = pq.read_table(RESULTS / "answers.parquet", filters=[("seen", "==", False)])
    harm, p = table["harm"].to_numpy(), table["trained_probability"].to_numpy()
    labels = np.array(table["label"].to_pylist())
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for label, colour in _COLOURS.items():
        chosen = labels == label
        axes.scatter(
            np.clip(harm[chosen], -0.1, 1.2), p[chosen], s=9, alpha=0.6, color=colour, label=label, linewidths=0
        )
    head = load_calibration().heads["trained"]
    for threshold in (head.approve_below, head.reject_from):
        axes.axhline(threshold, color="#444", linewidth=0.8, linestyle=":")
    axes.set(xlabel="skill lost on real rows, measured (clipped to -0.1 to 1.2)", ylabel="probability of collapse")
    axes.legend(frameon=False, loc="lower right")
    _save(figure, "accuracy_answers.svg")


def _draw_peers() -> None:
    """AUROC of every tool with its interval."""
    path = RESULTS / "peers.json"
    if not path.exists():
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    order = sorted(found, key=lambda name: found[name]["clear"]["auroc"][0])
    figure, axes = plt.subplots(figsize=(6.4, 0.3 * len(order) + 0.8), layout="constrained")
    for y, name in enumerate(order):
        value, low, high = found[name]["clear"]["auroc"]
        colour = "#b3432b" if name == "vr" else "#555"
        axes.plot([low, high], [y, y], color=colour, linewidth=1.2)
        axes.plot(value, y, "o", color=colour, markersize=5)
    axes.set(yticks=range(len(order)), yticklabels=order, xlabel="AUROC on clear cases, 95 % interval over datasets")
    _save(figure, "accuracy_peers.svg")


def _save(figure: Any, name: str) -> None:
    figure.savefig(IMAGES / name, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
