"""The model card of a checkpoint: Hub front matter with a model-index, and a page written from its records."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from models.catalog import CatalogEntry
from models.loading import rename_options
from training.evaluation.tables import Summary, markdown, protocol_of
from training.tasks.registry import TASKS
from training.tasks.task import CardText

Record = dict[str, Any]
CONFIGS = Path(__file__).parents[1] / "configs"

PAGE = """
# {name}

{summary}

{use}

## How it works

{how}

## Measured

By `python -m {command}`, through the code that ships, protocol named in each row's line. No test image
was used for training or for selecting a checkpoint.

{reports}

## Training

{training}

{terms} The code is Apache-2.0. The folder keeps each run's resolved configuration, curves, data hash
and the commit of the code that ran (`record.json`, `lineage/`); hashes are in `SHA256SUMS`.
"""

TRAINING = """{totals}

<details><summary>The runs, in order</summary>

{runs}

</details>
"""

RESEARCH_ONLY = """Training photos are for research only and are not in the repository; hence the licence of the
weights, cc-by-nc-4.0."""


def model_card(
    entry: CatalogEntry,
    network: dict[str, Any],
    record: Record,
    ancestors: list[Record],
    summaries: list[Summary],
    starts: Sequence[Record] = (),
) -> str:
    """Return the card's Markdown; every figure comes from the network's configuration, the records or the reports.

    ``starts`` are the ``start.json`` of what the first run started from, empty where it started from nothing.
    """
    text = TASKS[entry.task].card
    front = {
        "license": entry.licence,
        "library_name": "limpid",
        "pipeline_tag": text.pipeline_tag,
        "tags": [text.field, text.tag],
        "model-index": [{"name": entry.id, "results": [r for s in summaries for r in results(s, text)]}],
    }
    details = text.details(network, [r["config"] for r in [record, *ancestors]])
    # Headings of the reports become rows of this page.
    reports = "\n\n".join(markdown(s).replace("# ", "### ", 1).strip() for s in summaries) or "Not measured yet."
    runs = "\n".join([*(describe_start(s) for s in starts), *(describe_run(r) for r in [*ancestors, record])])
    runs += describe_calibration(record.get("calibration"))
    page = PAGE.format(
        name=entry.name,
        command=text.command,
        summary=entry.summary,
        use=text.use,
        how=text.how.format(**network, **details),
        reports=reports,
        training=TRAINING.format(totals=describe_totals([*ancestors, record]), runs=runs),
        terms=RESEARCH_ONLY if "nc" in entry.licence.split("-") else f"Licence of the weights: {entry.licence}.",
    )
    return f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n{page}"


def results(summary: Summary, text: CardText) -> list[dict[str, Any]]:
    """Return entries of the model-index for a report over pairs, or over sets of pairs; other reports have none."""
    rows = {}
    if summary["kind"] == "sets":
        rows = {name: {"PSNR, dB": row["output"]["mean"]} for name, row in summary["sets"].items()}
    elif summary["kind"] == "pairs":
        scores = summary["scores"]["output"]
        rows = {summary["data"]: {"PSNR, dB": scores["psnr"]["mean"], "SSIM": scores["ssim"]["mean"]}}
    elif summary["kind"] == "tags":
        recall = {name: summary["recall"][name]["mean"] for name in ("sharp", "severe")}
        rows = {f"{summary['data']}, {name}": {"Recall, macro at 3": value} for name, value in recall.items()}
    elif summary["kind"] == "diagnosis":
        rows = {f"{summary['data']}, {fault}": {"AUC": row["auc"]} for fault, row in summary["faults"].items()}
    entries = []
    for data, figures in rows.items():
        metrics = []
        for name, value in figures.items():
            kind, shown = name.split(",")[0].lower(), f"{name} ({protocol_of(summary)})"
            metrics.append({"type": kind, "value": round(value, 4), "name": shown})
        task = {"type": text.pipeline_tag, "name": text.task}
        entries.append({"task": task, "dataset": {"name": data, "type": data}, "metrics": metrics})
    return entries


def describe_calibration(calibration: dict[str, Any] | None) -> str:
    """Say what calibration chose for the model, and on what; "" where it was not calibrated."""
    if calibration is None:
        return ""
    if "temperatures" in calibration:
        (first, second), (glass, blur) = calibration["temperatures"], calibration["thresholds"]
        return (
            f"\n* `training.tasks.semantics.calibration`: temperatures {first:.2f} (reflection) and {second:.2f} (kinds"
            f" of blur), fitted on {calibration['samples']} held-out samples; thresholds {glass:.3f} (reflection) and"
            f" {blur:.3f} (blur), which leave {calibration['left_alone']:.1%} of {calibration['sharp']} held-out sharp"
            " photos alone."
        )
    pairs = ", ".join(f"{count} of {name}" for name, count in calibration["pairs"].items())
    calibrated = rename_options(calibration)
    names = ("working_size", "flip_tta", "global_affine_weight", "residual_scale")
    chosen = {key: calibrated[key] for key in names if key in calibrated}
    twice = " and its mirror image" if chosen.get("flip_tta") else ""
    row = next(r for r in map(rename_options, calibration["rows"]) if chosen.items() <= r.items())
    return (
        f"\n* `training.calibrate`: {chosen['residual_scale']:g} of the network's change is applied, and "
        f"{chosen['global_affine_weight']:g} of its change of tone, with the whole photo{twice} seen at "
        f"{chosen['working_size']} px; chosen by PSNR and aligned PSNR at the photo's exposure on {pairs} "
        f"({row['psnr']:+.2f} dB, aligned {row['aligned']:+.2f} dB there).{_detection(calibration.get('detection'))}"
    )


def _detection(found: dict[str, float] | None) -> str:
    if found is None:
        return ""
    return (
        f" A reflection is found where the change exceeds {found['threshold']:g}: in {found['clean_found']:.0%} of "
        f"clean held-out photos, and in {found['pairs_found']:.0%} of those behind glass."
    )


def describe_totals(records: Sequence[Record]) -> str:
    """Say how much training there was in all, and which committed stages repeat it."""
    samples = sum(r.get("steps_done", r["config"]["steps"]) * r["config"]["batch"] for r in records)
    hours = sum(r["training_seconds"] for r in records) / 3600
    stages = list(dict.fromkeys(stage for r in records if (stage := recipe(r["config"]["name"]))))
    text = f"{len(records)} run{'s' if len(records) > 1 else ''}, {samples:,} samples, {hours:.1f} hours in all."
    named = ", ".join(f"`training/configs/{stage}.yaml`" for stage in stages)
    how = "`python -m training.train --config …`, with the settings of each run's record."
    return f"{text} The stages are {named}: {how}" if stages else text


def recipe(run: str) -> str | None:
    """Return the committed stage that a run's name begins with, the longest; None where there is none."""
    fitting = [file.stem for file in CONFIGS.glob("*.yaml") if run.startswith(file.stem)]
    return max(fitting, key=len, default=None)


def describe_start(start: Record) -> str:
    """Describe published weights that training started from, as a list item."""
    digest = f", sha256 {start['sha256'][:12]}" if "sha256" in start else ""
    return f"* Started from `{start['from']}` ({start['licence']}{digest})."


def describe_run(record: Record) -> str:
    """Describe one run as a list item."""
    config, start = record["config"], record["starts"][0]
    data = config["data"]
    sources = ", ".join([*data["clean"], *data.get("pairs", [])])
    if guidance := data.get("guidance"):
        sources += f", with the tags of {1 - guidance['dropout']:.0%} of the photos that have one"
    what = config.get("objective") or ", ".join(config["parts"] if "parts" in config else config["losses"])
    return (
        f"* `{config['name']}`: {record.get('steps_done', config['steps'])} steps of {config['batch']} samples "
        f"({what}, sides {data['sizes']} px) on {sources}; "
        f"{record['training_seconds'] / 60:.0f} minutes on {start['hardware']} with {start['threads']} threads, "
        f"seed {record['seed']}, data {record['data_sha256'][:12]}, code {start['code'][:12]}."
    )
