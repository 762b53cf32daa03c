"""Score a model through the code that ships, by the protocol of docs/evaluation.md, or make test sets of blur.

    python -m training.evaluate --model dereflection-small --data pairs/ --out report/

docs/evaluation.md has a command for each mode.
"""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from models.hub import locate
from training.core.command import Command
from training.data.manifest import list_images
from training.data.pairs import find_pairs
from training.evaluation.blur_test import make_blur_test
from training.evaluation.protocol import NATIVE, PROTOCOLS, SCENE_PATTERN, EvaluationError, flat_name, subsample
from training.evaluation.report import Measured, write_report
from training.evaluation.restorer import Restorer, load_restorer, with_linear_input
from training.evaluation.scoring import WORSE_DB, check_tiling, fit_affine_baseline, look, measure_harm, score_pairs
from training.evaluation.sets import find_sets, join_sets
from training.tasks.dereflection.held_out import held_out_pairs, measure_held_out
from training.tasks.dereflection.invariance import measure_poses


def parser() -> Command:
    """Make the parser of the command line."""
    result = Command(__doc__)
    add = result.add_argument
    add("--model", help="id in the catalog, or a folder written by save_pretrained")
    add("--data", required=True, type=Path, help="folder of input/ and target/, of such folders, or of photos")
    add("--out", required=True, type=Path, help="where the report goes")
    mode = result.add_mutually_exclusive_group()
    mode.add_argument("--no-harm", action="store_true", help="sharp photos, no target: output against input")
    mode.add_argument("--look", action="store_true", help="photos, no target: a contact sheet, no scores")
    mode.add_argument("--tiling-check", action="store_true", help="two tile grids, and tiled against whole")
    mode.add_argument("--poses", action="store_true", help="sharp photos behind simulated glass in several poses")
    mode.add_argument("--held-out", action="store_true", help="pairs below --data that the model's training held out")
    mode.add_argument("--sets", action="store_true", help="folders of input/ and target/: a row each, and their mean")
    mode.add_argument("--make-blur-test", action="store_true", help="sharp photos: blur them, a set for each family")
    add("--families", nargs="+", default=[], metavar="NAME", help="only these of --make-blur-test or --sets")
    add("--kernels", type=Path, help="of --make-blur-test: folder of levin_*.npy and others")
    add("--scenes", type=int, default=48, help="scenes of --poses")
    add("--protocol", choices=sorted(PROTOCOLS), default=NATIVE, help="how pairs are scored")
    add("--worse", type=float, default=WORSE_DB, help="dB lost from which an image counts as made worse")
    add("--linear", action="store_true", help="pictures are in proportion to light: tell the model (of deblurring)")
    add("--train-pairs", type=Path, nargs="+", default=[], help="training pairs, for the affine baseline")
    add("--scene-pattern", default=SCENE_PATTERN, help="regex on the stem; its first group is the scene")
    add("--limit", type=int, help="at most so many images, evenly spread over the set")
    add("--tile", type=int, help="tile of --tiling-check in pixels; by default the pipeline's own")
    add("--megapixels", type=float, default=2.0, help="size of photos in --tiling-check; 0: as they are")
    add("--device", help="cpu, cuda, …; by default what the app would choose")
    add("--dtype", choices=("float32", "bfloat16", "float16"), help="as --device")
    return result


def evaluate(args: argparse.Namespace, restorer: Restorer) -> str:
    """Run the measurement that the options name, write its report and return it as Markdown."""
    if not (math.isfinite(args.worse) and args.worse >= 0):
        raise EvaluationError(f"--worse is {args.worse:g}: give a loss in dB, 0 or more.")
    if args.linear:
        restorer = with_linear_input(restorer)
    if not args.sets:
        return _write(args, restorer, args.data, args.out, _measure(args, restorer))
    measured = {}
    for folder in find_sets(args.data, args.families):
        out = args.out / folder.name
        measured[folder.name] = _score(args, restorer, folder, out)
        _write(args, restorer, folder, out, measured[folder.name])
    return _write(args, restorer, args.data, args.out, join_sets(measured))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    command = parser()
    args = command.parse_args(arguments)
    with command.reporting():
        if args.make_blur_test:
            print(make_blur_test(args.data, args.out, args.kernels, args.families))
            return
        if args.model is None:
            raise EvaluationError("There is no model to evaluate: give --model, an id in the catalog or a folder.")
        print(evaluate(args, load_restorer(args.model, args.device, args.dtype)))


def _write(args: argparse.Namespace, restorer: Restorer, data: Path, out: Path, measured: Measured) -> str:
    summary, rows, sheet = measured
    summary = summary | restorer.identity | {"data": data.resolve().name, "limit": args.limit}
    if args.train_pairs:
        summary["train_pairs"] = [folder.resolve().name for folder in args.train_pairs]
    return write_report(out, summary, rows, sheet)


def _score(args: argparse.Namespace, restorer: Restorer, data: Path, out: Path) -> Measured:
    baseline = fit_affine_baseline(args.train_pairs) if args.train_pairs else None
    pairs, protocol = subsample(find_pairs(data), args.limit), PROTOCOLS[args.protocol]
    options = {"affine_baseline": baseline, "scene_pattern": args.scene_pattern, "worse_db": args.worse}
    return score_pairs(restorer, pairs, protocol, out / "predictions", **options)


def _measure(args: argparse.Namespace, restorer: Restorer) -> Measured:
    predictions = args.out / "predictions"
    if args.held_out:
        return measure_held_out(restorer, held_out_pairs(locate(args.model)[0], args.data))
    if not (args.no_harm or args.look or args.tiling_check or args.poses):
        return _score(args, restorer, args.data, args.out)
    files = subsample(list_images(args.data), args.limit)
    photos = {flat_name(path, args.data): path for path in files}
    if args.poses:
        return measure_poses(restorer, files, args.scenes)
    if args.no_harm:
        return measure_harm(restorer, photos, predictions, args.scene_pattern)
    if args.look:
        return look(restorer, photos, predictions)
    return check_tiling(restorer, photos, args.tile, args.megapixels or None)


if __name__ == "__main__":
    main()
