"""The accelerator's tables in docs/cascade.md, from results/accelerator.json alone.

    python -m benchmarks.accelerator.page [FOLDER/accelerator.json ...]

Files named are merged into the result first, a later file's steps over an earlier one's where they did not fail.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.collapse.accuracy_page import fill
from benchmarks.measure import RESULTS

__all__ = ["PAGE", "merged", "tables"]

PAGE = Path(__file__).parents[2] / "docs" / "cascade.md"
RESULT = RESULTS / "accelerator.json"
_MARK = "accelerator"
_KEY = ("preset", "tier", "network")
_PRESETS = ("laptop", "workstation", "h100")
_VALIDATIONS = (
    ("workstation", "`workstation`, nothing compiled before"),
    ("laptop", "`laptop`, nothing compiled before"),
    ("laptop_warm", "`laptop`, compiled before"),
    ("laptop_processor", "`laptop`, the same machine's processor"),
)
_DEMOS = (
    ("demo_processor", "processor, float32"),
    ("demo_float32", "device, float32"),
    ("demo", "device, bfloat16"),
)


def main() -> None:
    """Merges the files and fills the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    if args.files:
        found = merged(
            [json.loads(path.read_text(encoding="utf-8")) for path in [RESULT, *args.files] if path.is_file()]
        )
        RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables(json.loads(RESULT.read_text(encoding="utf-8"))).items():
        page = fill(page, f"{_MARK} {name}", lines)
    PAGE.write_text(page, encoding="utf-8")
    print(f"{PAGE} is up to date")


def merged(documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the documents as one: of each step the last part there is, one that did not fail before one that did.

    A tier's row is the last that was measured, whatever became of its step afterwards.
    """
    whole: dict[str, Any] = {}
    rows: dict[tuple[str, ...], tuple[str, dict[str, Any]]] = {}
    for document in documents:
        steps, parts = whole.get("steps", {}), whole.get("parts", {})
        for name, part in document.get("parts", {}).items():
            rows |= {tuple(row[each] for each in _KEY): (name, row) for row in part.get("tiers", [])}
        for name, status in document.get("steps", {}).items():
            is_better = name not in parts or not status["error"] or steps[name]["error"]
            if is_better and (name in document.get("parts", {}) or name not in steps):
                steps[name] = status
                if name in document.get("parts", {}):
                    parts[name] = document["parts"][name]
        whole |= {name: value for name, value in document.items() if name not in ("steps", "parts")}
        whole |= {"steps": steps, "parts": parts}
    for name, part in whole.get("parts", {}).items():
        if "tiers" in part:
            whole["parts"][name] = part | {"tiers": [row for home, row in rows.values() if home == name]}
    return whole


def tables(result: dict[str, Any]) -> dict[str, list[str]]:
    """Returns the lines of every table by its mark; a step that gave nothing says so in place of its figures."""
    parts = result["parts"]
    return {
        "device": _device(parts, result),
        "tiers": _tiers(_rows(parts)),
        "hot spots": _hot_spots(_rows(parts)),
        "validate": _validations(parts),
        "precision": _precision(parts),
        "torch": _torch(parts.get("throughput", {})),
    }


def _rows(parts: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [row for name in sorted(parts) if name.startswith("tiers") for row in parts[name].get("tiers", [])]
    return sorted(rows, key=lambda row: (_PRESETS.index(row["preset"]), row["network"], row["tier"]))


def _device(parts: dict[str, Any], result: dict[str, Any]) -> list[str]:
    units = parts.get("units")
    if not units:
        return ["Its ceilings were not measured."]

    def figure(name: str, unit: float, form: str) -> str:
        return format(units[name] / unit, form) if name in units else "not measured"

    product, error = "product_{}_flops_a_second", figure("float32_default_error", 1.0, ".1e")
    kinds = [figure(product.format(kind), 1e12, ",.0f") for kind in ("bfloat16", "float32_default", "float32_highest")]
    lines = [
        f"{units['device']}, {units['cores']} cores, JAX {units['versions']['jax']}, {result['date']}. Reached on "
        f"products of random 8192 x 8192 matrices, in teraflops: {kinds[0]} in bfloat16, {kinds[1]} in float32 as JAX "
        f"takes it by default (relative error {error}), {kinds[2]} at full float32. A copy moves "
        f"{figure('copy_bytes_a_second', 1e12, '.2f')} TB/s; "
        f"{figure('host_to_device_bytes_a_second', 1e9, '.0f')} GB/s come from the host.",
    ]
    for name, found in units.items():
        if name.startswith("pair_counts_"):
            lines.append("")
            lines.append(
                f"Pair counts by one-hot products, {name.removeprefix('pair_counts_').replace('_', ' ')}, "
                f"{found['rows']:,} rows: {found['cells_that_differ']} cells differ from the processor's; "
                f"{found['device_counts_a_second'] / 1e9:.1f} billion counts a second on the device "
                f"({found['device_counts_a_second_with_transfer'] / 1e9:.1f} with the way there and back), "
                f"{found['processor_counts_a_second'] / 1e9:.2f} on the processor."
            )
    return lines


def _tiers(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| preset | tier | network | models | step | rows/s | teraflops | of peak | drawing a step | memory | judging "
        "| whole tier, calculated |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['preset']} | {row['tier']} | {_network(row)} | {row['models']} of {row['parameters']:,} "
            f"| {row['step_ms']:,.2f} ms | {row['rows_a_second']:,} | {row['model_flops_a_second'] / 1e12:,.1f} "
            f"| {row['share_of_peak']:.1%} | {row['drawing_ms_a_step']:,.2f} ms "
            f"| {_gibibytes(row, 'memory_foreseen_bytes')} | {_judging(row)} "
            f"| {_duration(max(row['training_calculated_s'], 0.0))} |"
        )
    for name in dict.fromkeys(row["preset"] for row in rows):
        own = [row for row in rows if row["preset"] == name and row["network"] == _network_of(name)]
        if len(own) == 3:
            total = sum(row["training_calculated_s"] for row in own)
            drawn = sum(row["drawing_calculated_s"] for row in own)
            lines += [
                "",
                f"`{name}` on one such device, by these step times: {_duration(total)} of training; drawing on "
                f"one thread beside it {_duration(drawn)}.",
            ]
    return lines


def _gibibytes(row: dict[str, Any], name: str) -> str:
    return f"{row[name] / 2**30:,.1f} GiB" if row.get(name) else ""


def _judging(row: dict[str, Any]) -> str:
    if "judging_refused" in row:
        return "refused"
    seconds = f", {row['judging_s']:.1f} s" if "judging_s" in row else ""
    return _gibibytes(row, "judging_foreseen_bytes") + seconds


def _network(row: dict[str, Any]) -> str:
    return row["network"].replace("_by_", ", by ")


def _network_of(name: str) -> str:
    from vr.cascade.config import preset

    return preset(name).network.name


def _hot_spots(rows: Sequence[dict[str, Any]]) -> list[str]:
    traced = [row for row in rows if row.get("parts")]
    if not traced:
        return ["No trace was taken."]
    names = sorted(
        {name for row in traced for name, share in row["parts"]["shares"].items() if share >= 0.01},
        key=lambda name: -sum(row["parts"]["shares"].get(name, 0.0) for row in traced),
    )
    heads = [f"{row['preset']} {row['tier']} {_network(row)}" for row in traced]
    lines = [f"| part | {' | '.join(heads)} |", "|---" * (1 + len(traced)) + "|"]
    for name in names:
        shares = [f"{share:.0%}" if (share := row["parts"]["shares"].get(name, 0.0)) >= 0.005 else "" for row in traced]
        lines.append(f"| {name} | {' | '.join(shares)} |")
    busy = ["?" if row["parts"]["busy_share"] is None else f"{row['parts']['busy_share']:.0%}" for row in traced]
    return [*lines, f"| *device busy within a segment* | {' | '.join(busy)} |"]


def _validations(parts: dict[str, Any]) -> list[str]:
    lines = [
        "| run | whole | by tier | waiting for the compiler | drawing | rest of `vr validate` |",
        "|---|---|---|---|---|---|",
    ]
    for name, title in _VALIDATIONS:
        run, told = parts.get(name, {}).get("runs", {}).get("table"), parts.get(name, {}).get("told")
        if told:
            lines.append(_told(title, told))
        if not run:
            lines += [f"| {title} | not measured | | | | |"] * (not told)
            continue
        within, stages = run["within_cascade_s"], run["stages"]
        tiers = ", ".join(f"{seconds:.1f}" for seconds in run["cascade_seconds"].values())
        rest = run["seconds"] - stages.get("cascade", 0.0)
        lines.append(
            f"| {title} | {run['seconds']:.1f} s | {tiers} s | {within.get('waiting for the compiler', 0.0):.1f} s "
            f"| {within.get('drawing, stacked', 0.0):.1f} s | {rest:.1f} s |"
        )
    return lines


def _told(title: str, told: dict[str, Any]) -> str:
    """Returns the line of a run that gave no report, by what its log says."""
    tiers = ", ".join(f"{seconds:.1f}" for seconds in told["cascade_seconds"].values())
    if told["stage"] == "cascade":
        # `tier_3: 73 s left, step 1,800 of 3,000, loss ...`
        where = re.sub(r"^(\w+): .*?(step [\d,]+ of [\d,]*\d).*$", r"\1, \2", told["message"])
        return f"| {title} | stopped, at {told['seconds']:.0f} s in {where} | {tiers} s | | | |"
    rest = told["seconds"] - sum(told["cascade_seconds"].values())
    return f"| {title} | {told['seconds']:.1f} s to the report | {tiers} s | | | {rest:.1f} s |"


def _precision(parts: dict[str, Any]) -> list[str]:
    lines = []
    agreement = parts.get("agreement", {})
    found = [(name, agreement[name]) for name in ("resonance", "mlp") if name in agreement]
    if found:
        lines += [
            f"| {found[0][1]['steps']} steps against the processor's float32 | largest difference of the held-out "
            "loss | weights' distance, of their movement |",
            "|---|---|---|",
        ]
        for name, each in found:
            for way in ("float32_highest", "float32_default", "bfloat16"):
                lines.append(
                    f"| {name}, {way.replace('_', ', ')} | {each[way]['largest_loss_difference']:.1e} "
                    f"| {each[way]['weights_distance_of_movement']:.1e} |"
                )
        lines.append("")
    lines += ["| the demo, `laptop` | fresh sample | eighth generation |", "|---|---|---|"]
    for name, title in _DEMOS:
        runs = parts.get(name, {}).get("runs", {})
        cells = [_said(runs.get(case)) for case in ("fresh", "generation_8")]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def _said(run: dict[str, Any] | None) -> str:
    return "not measured" if run is None else f"{run['verdict']}, risk {run['risk_score']:.1f}"


def _torch(result: dict[str, Any]) -> list[str]:
    if not result:
        return ["PyTorch was not measured on the device."]
    lines = ["| tier | models | looped | stacked | PyTorch | PyTorch over stacked |", "|---|---|---|---|---|---|"]
    for tier in result["tiers"]:
        looped, stacked, torch = (min(tier["seconds"][name]) for name in ("looped", "stacked", "torch"))
        lines.append(
            f"| {tier['tier']} | {tier['models']} of {tier['parameters']:,} | {looped:.2f} s | {stacked:.2f} s "
            f"| {torch:.2f} s | {torch / stacked:.1f} |"
        )
    return lines


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


if __name__ == "__main__":
    main()
