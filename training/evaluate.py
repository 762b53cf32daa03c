"""Scores a model through the code that ships, by the protocol of section 7 of the design.

python -m training.evaluate --model dereflection-small --data pairs/ --out report/
python -m training.evaluate --model runs/x/model --data sharp_photos/ --no-harm --out report/
python -m training.evaluate --model dereflection-small --data photos/ --look --out report/
python -m training.evaluate --model dereflection-small --data photos/ --tiling-check --out report/
python -m training.evaluate --model dereflection-small --data sharp_photos/ --poses --out report/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models.errors import LimpidError
from training.invariance import measure_poses
from training.protocol import NATIVE, PROTOCOLS, SCENE_PATTERN, find_pairs, find_pictures, spread
from training.report import write_report
from training.restorer import Restorer, load_restorer
from training.scoring import Measured, check_tiling, look, measure_harm, score_pairs, train_constant


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description="Restore a folder with a model and report how well: table, CSV, JSON, contact sheet.",
    )
    add = result.add_argument
    add("--model", required=True, help="id in the catalog, or a folder written by save_pretrained")
    add("--data", required=True, type=Path, help="folder of input/ and target/, or of photos")
    add("--out", required=True, type=Path, help="where the report goes")
    mode = result.add_mutually_exclusive_group()
    mode.add_argument("--no-harm", action="store_true", help="sharp photos, no target: output against input")
    mode.add_argument("--look", action="store_true", help="photos, no target: a contact sheet, no scores")
    mode.add_argument("--tiling-check", action="store_true", help="two tile grids, and tiled against whole")
    mode.add_argument("--poses", action="store_true", help="sharp photos behind simulated glass in several poses")
    add("--scenes", type=int, default=48, help="scenes of --poses")
    add("--protocol", choices=sorted(PROTOCOLS), default=NATIVE, help="how pairs are scored")
    add("--train-pairs", type=Path, nargs="+", default=[], help="training pairs, for the best constant")
    add("--scene-pattern", default=SCENE_PATTERN, help="regex on the stem; its first group is the scene")
    add("--limit", type=int, help="at most so many images, evenly spread over the set")
    add("--tile", type=int, help="tile of --tiling-check in pixels; by default the pipeline's own")
    add("--megapixels", type=float, default=2.0, help="size of photos in --tiling-check; 0: as they are")
    add("--device", help="cpu, cuda, …; by default what the app would choose")
    add("--dtype", choices=("float32", "bfloat16", "float16"), help="as --device")
    return result


def evaluate(args: argparse.Namespace, restorer: Restorer) -> str:
    """Runs the asked-for measurement, writes the report and returns its Markdown."""
    summary, rows, sheet = _measure(args, restorer)
    summary |= restorer.identity | {"data": args.data.resolve().name, "limit": args.limit}
    if args.train_pairs:
        summary["train_pairs"] = [folder.resolve().name for folder in args.train_pairs]
    return write_report(args.out, summary, rows, sheet)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with a sentence on standard error."""
    args = parser().parse_args(arguments)
    try:
        print(evaluate(args, load_restorer(args.model, args.device, args.dtype)))
    except LimpidError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _measure(args: argparse.Namespace, restorer: Restorer) -> Measured:
    predictions = args.out / "predictions"
    if not (args.no_harm or args.look or args.tiling_check or args.poses):
        pairs = spread(find_pairs(args.data), args.limit)
        constant = train_constant(args.train_pairs) if args.train_pairs else None
        protocol = PROTOCOLS[args.protocol]
        return score_pairs(restorer, pairs, protocol, predictions, constant=constant, scene_pattern=args.scene_pattern)
    if args.poses:
        return measure_poses(restorer, spread(find_pictures(args.data), args.limit), args.scenes)
    photos = {_name(path, args.data): path for path in spread(find_pictures(args.data), args.limit)}
    if args.no_harm:
        return measure_harm(restorer, photos, predictions, args.scene_pattern)
    if args.look:
        return look(restorer, photos, predictions)
    return check_tiling(restorer, photos, args.tile, args.megapixels or None)


def _name(path: Path, folder: Path) -> str:
    """``kodak24/kodim01.png`` -> ``kodak24-kodim01``: one flat name for each file of a tree."""
    return "-".join(path.relative_to(folder).with_suffix("").parts)


if __name__ == "__main__":
    sys.exit(main())
