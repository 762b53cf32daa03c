"""Make a finished run the model that ships: ``python -m training.publish --run runs/<name>/model --id <id>``.

Copies the run's model to ``models/checkpoints/<id>/`` with its record, curves and lineage, puts the reports of
``training.evaluate`` beside it, and writes from them ``quality.json`` (what the app's model page shows) and the
model card; a contact sheet shows it at work on simulated glass. Every figure in the card comes from those files.
With ``--upload`` and ``--upload-space`` (and a token) the checkpoint and the app go to the Hugging Face Hub.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from natsort import natsort_key

from models.catalog import Catalog, CatalogEntry
from models.errors import ModelError
from models.integrity import fingerprint, write_sums
from training.core.command import Command
from training.core.config import RunConfig
from training.core.export import finished_run
from training.core.files import new_folder
from training.evaluation.metrics import psnr
from training.evaluation.protocol import NATIVE
from training.evaluation.restorer import Restorer, load_restorer
from training.evaluation.sheet import SheetRow, contact_sheet, thumbnail
from training.evaluation.tables import Summary, protocol_of
from training.release.card import model_card
from training.release.upload import upload_checkpoint, upload_space
from training.tasks.registry import TASKS, make_run

CHECKPOINTS = Path(__file__).parents[1] / "models" / "checkpoints"


def publish(run: Path, entry: CatalogEntry, reports: list[Path], checkpoints: Path = CHECKPOINTS) -> Path:
    """Write ``checkpoints/<id>/``, whole or not at all. ModelError where the run is not finished or altered."""
    record = finished_run(run)
    network = json.loads((run / "network" / "config.json").read_text())
    summaries = [read_report(folder) for folder in reports]
    starts = [json.loads(p.read_text()) for p in sorted(run.glob("lineage/*/start.json"))]
    card, figures = model_card(entry, network, record, ancestors(run), summaries, starts), quality(summaries)
    revision = fingerprint(run)
    for summary in summaries:
        if summary.get("revision") != revision:
            raise ModelError(f"The report on {summary['data']} was measured on another model: evaluate {run} again.")
    with new_folder(checkpoints / entry.id) as partial:
        shutil.copytree(run, partial, dirs_exist_ok=True)
        (partial / "evaluation").mkdir()
        for summary in summaries:
            light = "-linear" if summary.get("light") == "linear" else ""
            file = partial / "evaluation" / f"{summary['kind']}-{summary['data']}-{summary['protocol']}{light}.json"
            file.write_text(json.dumps(summary, indent=2) + "\n")
        (partial / "quality.json").write_text(json.dumps(figures, indent=2) + "\n")
        (partial / "README.md").write_text(card)
        config = make_run(record["config"])
        if TASKS[config.task].examples:
            showcase(load_restorer(str(run)), config, entry.id, partial / "evaluation" / "simulated.jpg")
        write_sums(partial)
    return checkpoints / entry.id


def showcase(restorer: Restorer, config: RunConfig, name: str, path: Path) -> None:
    """Write a contact sheet of the model ``name`` on the examples of its task, from its run's distribution."""
    task = TASKS[config.task]
    assert task.examples is not None
    rows, column = [], ""
    for what, photo, target in task.examples(config):
        done = restorer(photo)
        column = done.column
        caption = f"{what}: {psnr(photo, target):.2f} dB, restored {psnr(done.image, target):.2f} dB"
        rows.append(SheetRow(caption, [thumbnail(p) for p in (photo, done.image, target, done.change(photo))]))
    title = f"{name}, simulated {task.degradation}"
    contact_sheet(rows, ("input", "restored", "target", column), title, path)


def read_report(folder: Path) -> Summary:
    """Read the ``report.json`` of an evaluation."""
    file = folder / "report.json"
    if not file.is_file():
        raise ModelError(f"{folder} holds no report.json: make it with python -m training.evaluate … --out {folder}.")
    return dict(json.loads(file.read_text()))


def ancestors(folder: Path) -> list[dict[str, Any]]:
    """Read the records of the runs a model was warm-started from, in the order in which they were made."""
    found = [(json.loads(p.read_text()), p.parent.name) for p in folder.glob("lineage/*/record.json")]
    return [record for record, _ in sorted(found, key=lambda run: (run[0]["finished"], natsort_key(run[1])))]


def quality(summaries: list[Summary]) -> dict[str, dict[str, float]]:
    """Collect the few figures for the model page, by data set (and protocol, where it is not the usual one)."""
    shown: dict[str, dict[str, float]] = {}
    for summary in summaries:
        if summary["kind"] == "pairs":
            output, given = summary["scores"]["output"], summary["scores"]["input"]
            protocol = protocol_of(summary)
            other = "" if protocol == NATIVE else f" ({protocol})"
            shown[summary["data"] + other] = {
                "PSNR": round(output["psnr"]["mean"], 2),
                "input's": round(given["psnr"]["mean"], 2),
                "SSIM": round(output["ssim"]["mean"], 3),
                "aligned gain": round(summary["gains"]["input"]["aligned"]["mean"], 2),
            }
        elif summary["kind"] == "sets":
            rows = summary["sets"] | {f"mean of {summary['mean_of']}": summary["mean"]}
            for name, row in rows.items():
                shown[name] = {"PSNR": round(row["output"]["mean"], 2), "input's": round(row["input"]["mean"], 2)}
        elif summary["kind"] == "tags":
            for name in ("sharp", "severe"):
                recall = summary["recall"][name]["mean"]
                figures = {"macro recall at 3": round(recall, 3), "three commonest": round(summary["prior"], 3)}
                if name == "sharp":
                    figures["word among five"] = round(summary["recall"][name]["word_in_five"], 3)
                shown[f"{summary['data']}, {name}"] = figures
        elif summary["kind"] == "diagnosis":
            for fault, row in summary["faults"].items():
                shown[f"{summary['data']}, {fault}"] = {"AUC": round(row["auc"], 3), "found": round(row["found"], 3)}
        elif summary["kind"] == "no-harm":
            least = round(summary["minimum"]["psnr"], 2)
            shown["photos with nothing to remove"] = {"PSNR": round(summary["psnr"]["mean"], 2), "least": least}
    return shown


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--id", required=True, help="a model of models/catalog.toml, or of your own catalog")
    parser.add_argument("--run", type=Path, help="the folder 'model' of a finished run; without: upload what is there")
    parser.add_argument("--report", type=Path, action="append", default=[], help="an --out of training.evaluate")
    parser.add_argument(
        "--checkpoints", type=Path, default=CHECKPOINTS, help="where the checkpoint goes (default: models/checkpoints)"
    )
    parser.add_argument("--upload", metavar="OWNER/NAME", help="then upload the checkpoint to this model repository")
    parser.add_argument("--upload-space", metavar="OWNER/NAME", help="then upload the whole app to this Space")
    options = parser.parse_args(arguments)
    if not (options.run or options.upload or options.upload_space):
        parser.error("nothing to do: give --run, --upload or --upload-space.")
    with parser.reporting():
        entry = Catalog.load().get(options.id)
        if options.run:
            print(f"published {entry.id} to {publish(options.run, entry, options.report, options.checkpoints)}")
        if options.upload:
            print(upload_checkpoint(options.checkpoints / entry.id, options.upload))
        if options.upload_space:
            print(upload_space(options.upload_space))


if __name__ == "__main__":
    main()
