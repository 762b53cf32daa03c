"""Was a retraining worth it: ``python -m training.experiments.retrained --run RUN --against MODEL --out report``.

Takes photos (and real pairs) that the run held out, degrades the photos by the run's own simulator, and restores all of
them by the new model and by the one in use. Writes a report of each, as `training.evaluate` does, and ``verdict.json``:
mean PSNR of both and of the untouched photos, and the verdict in a sentence. A model that is worse than doing nothing
is not to be offered to anybody.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from models.errors import LimpidError
from models.images import to_pixels
from training.core.command import Command
from training.core.config import PhotoConfig, RunConfig
from training.core.export import finished_run
from training.core.files import replace_file
from training.data.pairs import Pair, PairStore, find_pairs
from training.data.sources import photo_files, split, split_pairs
from training.evaluation.metrics import psnr
from training.evaluation.protocol import NATIVE, PROTOCOLS
from training.evaluation.report import write_report
from training.evaluation.restorer import load_restorer
from training.evaluation.scoring import score_pairs
from training.tasks.registry import TASKS, make_run

SIMULATED = 24
"""Simulated photos that are scored."""
NOTHING_TO_REMOVE_DB = 40.0
"""Samples whose input is nearer to its target have nothing to remove, and are left out."""
SIDE_PX = 512
"""Shorter side of the real pairs that are scored."""


def held_out_pairs(config: RunConfig, folder: Path) -> list[Pair]:
    """Write simulated and real pairs that the run has not seen to ``folder/input`` and ``folder/target``.

    Raises:
        LimpidError: The run held out no photo: there were too few.
    """
    data = config.data
    if not isinstance(data, PhotoConfig):
        raise LimpidError(f"A run of {config.task} restores no photos.")
    files = photo_files(data)
    if set(split(files, data.hold_out, True)) & set(split(files, data.hold_out, False)):
        raise LimpidError(f"Training held out none of the {len(files)} photos, so nothing can be measured: add photos.")
    alone = data.model_copy(update={name: 0.0 for name in ("pair_share", "layer_share") if hasattr(data, name)})
    source = TASKS[config.task].components(config).source(alone, config.seed, validation=True)
    made: list[tuple[Tensor, Tensor]] = []
    for first in range(0, 4 * SIMULATED, 4):
        batch = source.batch(range(first, first + 4), config.validation_size)
        made += [(a, b) for a, b in zip(batch["input"], batch["target"], strict=True) if degraded(a, b)]
        if len(made) >= SIMULATED:
            break
    named = {f"simulated-{number:02}": pair for number, pair in enumerate(made[:SIMULATED])}
    for place in data.pairs:
        kept = split_pairs(data, place, find_pairs(data.root / place), validation=True)
        shots = PairStore(kept, SIDE_PX).exposed()
        named |= {f"pair-{pair.stem}": shot for pair, shot in zip(kept, shots, strict=True)}
    for side, at in (("input", 0), ("target", 1)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        for name, pair in named.items():
            Image.fromarray(to_pixels(pair[at])).save(folder / side / f"{name}.png")
    return find_pairs(folder)


def degraded(photo: Tensor, target: Tensor) -> bool:
    """Return whether there is something to remove."""
    return psnr(to_pixels(photo), to_pixels(target)) < NOTHING_TO_REMOVE_DB


def verdict(new: float, nothing: float, used: float, name: str) -> dict[str, Any]:
    """Return the verdict on mean PSNR in dB: of the new model, of the untouched photos, of the model in use."""
    gain, over = new - used, new - nothing
    if over < 0:
        text = f"Worse than doing nothing (by {-over:.2f} dB): not offered."
    elif gain > 0:
        text = f"Better by {gain:.2f} dB than {name}, and by {over:.2f} dB than doing nothing."
    else:
        text = f"Better by {over:.2f} dB than doing nothing, but worse by {-gain:.2f} dB than {name}."
    figures = {"new": round(new, 3), "untouched": round(nothing, 3), "in_use": round(used, 3)}
    return {"text": text, "offered": over >= 0, "better": over >= 0 and gain > 0, "psnr": figures, "against": name}


def compare(run: Path, against: str, out: Path) -> dict[str, Any]:
    """Measure both models, write their reports and the verdict into ``out``, and return the verdict."""
    config = make_run(finished_run(run)["config"])
    pairs = held_out_pairs(config, out / "pairs")
    means = {}
    for name, model in (("new", str(run)), ("in_use", against)):
        restorer = load_restorer(model)
        summary, rows, sheet = score_pairs(restorer, pairs, PROTOCOLS[NATIVE], out / name / "predictions")
        summary |= restorer.identity | {"data": "held-out", "limit": None}
        write_report(out / name, summary, rows, sheet)
        means[name] = summary["scores"]["output"]["psnr"]["mean"]
        nothing = summary["scores"]["input"]["psnr"]["mean"]
    assert np.isfinite(list(means.values())).all()
    found = verdict(means["new"], nothing, means["in_use"], against) | {"pairs": len(pairs)}
    replace_file(out / "verdict.json", json.dumps(found, indent=2) + "\n")
    return found


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--run", type=Path, required=True, help="the folder 'model' of a finished run")
    parser.add_argument("--against", required=True, help="the model in use: an id in the catalog, or a folder")
    parser.add_argument("--out", type=Path, required=True, help="where the reports and the verdict go")
    options = parser.parse_args(arguments)
    with parser.reporting():
        print(compare(options.run, options.against, options.out)["text"])


if __name__ == "__main__":
    main()
