"""Reports of evaluations as Markdown: a function for each kind of report."""

from collections.abc import Iterable, Sequence
from typing import Any

Summary = dict[str, Any]  # report.json
Statistic = dict[str, Any]  # mean, and low and high of its 95 % interval over scenes

NAMES = {"output": "restored", "input": "input, untouched", "affine_baseline": "affine baseline (training pairs)"}
RENAMED = {"constant": "affine_baseline", "oracle_constant": "oracle_affine_baseline"}  # keys of earlier reports
FACTS = ("protocol", "images", "classes", "scenes", "revision", "light", "device", "dtype", "attention",
         "seconds_per_image")  # fmt: skip
BARS = {"sharp": (0.85, 0.92), "severe": (0.65, 0.8)}  # macro recall at 3: bar, reach


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Format the lines of a Markdown table."""
    cells = (" | ".join(row) for row in (columns, *rows))
    head, *body = (f"| {line} |" for line in cells)
    return [head, "|---" * len(columns) + "|", *body]


def protocol_of(summary: Summary) -> str:
    """Name the protocol, and the light of the pictures if the model was told it."""
    light = ", told it is linear" if summary.get("light") == "linear" else ""
    return f"{summary.get('protocol', '')}{light}"


def markdown(summary: Summary) -> str:
    """Render a report as a page: what was measured and how, then its table. Earlier reports render too."""
    summary = _rename_keys(summary)
    bodies = {"pairs": _pairs, "no-harm": _harm, "look": _look, "tiling": _tiling, "poses": _poses, "held-out": _held}
    body = (bodies | {"sets": _sets, "baselines": _baselines, "tags": _tags, "diagnosis": _diagnosis})[summary["kind"]]
    facts = [f"{key.replace('_', ' ')} {summary[key]}" for key in FACTS if key in summary]
    title = f"# {summary.get('model', 'model')} on {summary.get('data', 'data')}"
    return "\n".join([title, "", "; ".join(facts) + ".", "", *body(summary)]) + "\n"


def _rename_keys(summary: Summary) -> Summary:
    """Replace the keys of a report, its scores and its gains that have been renamed since."""
    renamed = {RENAMED.get(key, key): value for key, value in summary.items()}
    for group in ("scores", "gains"):
        if group in renamed:
            renamed[group] = {RENAMED.get(key, key): value for key, value in renamed[group].items()}
    return renamed


def _pairs(summary: Summary) -> list[str]:
    rows = []
    for name, scores in summary["scores"].items():
        cells = _cell(scores["psnr"]), _cell(scores["ssim"], 4), _cell(scores["aligned"])
        rows.append((NAMES[name], *cells, f"{scores['gradient']['mean']:.2f}"))
    oracle = summary["oracle_affine_baseline"]
    lines = table(("picture", "PSNR (dB)", "SSIM", "aligned PSNR (dB)", "mean gradient"), rows)
    lines.append(f"| affine map of this very set (oracle) | {oracle['psnr']:.2f} | | | |")
    gains = [
        (NAMES[name], _cell(row["psnr"], 2, "+"), _cell(row["ssim"], 4, "+"), _cell(row["aligned"], 2, "+"))
        for name, row in summary["gains"].items()
    ]
    lines += ["", *table(("gain of restored over", "PSNR (dB)", "SSIM", "aligned PSNR (dB)"), gains)]
    threshold = summary.get("worse_db", 0.5)  # what it was before it could be chosen
    lines += ["", f"Worse than the input by over {threshold:g} dB: {summary['worse']:.1%} of the images."]
    if "worse_aligned" in summary:
        lines.append(f"Aligned PSNR lower by over 0.3 dB: {summary['worse_aligned']:.1%} of the images.")
    if "motion" in summary:
        lines.append(f"Motion: {_motion(summary['motion'])}.")
    if "affine_baseline" in summary:
        trained = ", ".join(summary.get("train_pairs", []))
        lines.append(f"Affine baseline of {trained}: {_formula(summary['affine_baseline'])}.")
    return [*lines, f"Oracle: {_formula(oracle)}. Intervals: 95 %, bootstrap over scenes."]


def _harm(summary: Summary) -> list[str]:
    least = f"{summary['minimum']['psnr']:.2f} ({summary['minimum']['stem']})"
    row = _cell(summary["psnr"]), least, _cell(summary["ssim"], 4), f"{summary['gradient_kept']['mean']:.3f}"
    columns = "PSNR (dB)", "least (dB)", "SSIM", "gradient kept"
    text = ["Sharp photos with nothing to remove; output against input.", "", *table(columns, [row])]
    return [*text, *(["", *_found(summary)] if "found" in summary else [])]


def _look(summary: Summary) -> list[str]:
    return ["No targets: see contact_sheet.png and predictions/.", *_found(summary)]


def _found(summary: Summary) -> list[str]:
    return [f"Something to remove is found in {summary['found']} of them."] if "found" in summary else []


def _tiling(summary: Summary) -> list[str]:
    names = {"grids": "two grids half a tile apart", "whole": "tiled against whole"}
    rows = [(name, f"{summary[k]['mean']:.2f}", f"{summary[k]['minimum']:.2f}") for k, name in names.items()]
    return [*table(("agreement", "mean (dB)", "least (dB)"), rows), "", "Compared before rounding, capped at 60 dB."]


def _poses(summary: Summary) -> list[str]:
    columns = "spread of the inputs", "spread of the outputs", "leak", "residual", "layer error"
    cells = [_cell(summary[key]) for key in ("spread_input", "spread", "leak", "residual", "layer_error")]
    return [
        "Views of one scene under several poses of a simulated pane. Spread: mean RMSE between the outputs of a scene;",
        "leak: how much of the reflection's own pattern is left (1: all); residual: mean distance of the photo from",
        "restored picture and removed layer together; layer error: RMSE of that layer. All but leak in 8-bit levels.",
        "",
        *table(columns, [cells]),
    ]


def _held(summary: Summary) -> list[str]:
    worse = "aligned, worse by over 0.3 dB"
    rows = []
    for name, row in summary["sets"].items():
        gains = _cell(row["psnr"], 2, "+"), _cell(row["aligned"], 2, "+"), f"{row['worse_aligned']:.1%}"
        rows.append((name, str(row["images"]), *gains, _cell(row["hinted"], 2, "+") if "hinted" in row else ""))
    return [
        "Real pairs that training held out. The hint says where the reflection is, as a mask does; what it adds is the",
        "aligned PSNR inside of it, over the result without a hint.",
        "",
        *table(("set", "images", "gain (dB)", "aligned gain (dB)", worse, "the hint adds (dB)"), rows),
        "",
        "Intervals: 95 %, bootstrap over images.",
    ]


def _sets(summary: Summary) -> list[str]:
    worse = f"worse by over {summary['worse_db']:g} dB"
    rows = []
    for name, row in (summary["sets"] | {f"**mean of {summary['mean_of']}**": summary["mean"]}).items():
        cells = [str(row.get("images", "")), _cell(row["input"]), _cell(row["output"]), _cell(row["gain"], 2, "+")]
        cells += [_cell(row["ssim_gain"], 4, "+"), f"{row['worse']:.1%}"]
        rows.append((name, *cells, _motion(row["motion"]) if "motion" in row else ""))
    return [
        *table(("set", "images", "input (dB)", "restored (dB)", "gain (dB)", "SSIM gain", worse, "motion"), rows),
        "",
        "Intervals: 95 %, bootstrap over scenes. Each set has its own report in the folder of its name.",
    ]


def _baselines(summary: Summary) -> list[str]:
    rows = []
    for name, row in summary["methods"].items():
        gains = _cell(row["gain"], 2, "+"), _cell(row["ssim_gain"], 4, "+"), f"{row['seconds']:.2f}"
        rows.append((name, _cell(row["psnr"]), _cell(row["ssim"], 4), *(gains if name != "input" else ("", "", ""))))
    lines = table(("picture", "PSNR (dB)", "SSIM", "gain (dB)", "SSIM gain", "s an image"), rows)
    return [*lines, "", *(f"* {name}: {how}" for name, how in summary["settings"].items())]


def _motion(motion: dict[str, float]) -> str:
    """Format a `training.evaluation.motion_error.MotionError`, given as a dict."""
    moves = motion["zero"] > 0.5  # px
    share = f", {motion['error'] / motion['zero']:.2f} of predicting zero" if moves else ""
    return f"EPE {motion['error']:.2f} px{share} ({motion['zero']:.2f} px)"


def _cell(value: Statistic, digits: int = 2, sign: str = "") -> str:
    mean = f"{value['mean']:{sign}.{digits}f}"
    return f"{mean} ({value['low']:.{digits}f} to {value['high']:.{digits}f})" if "low" in value else mean


def _formula(affine: dict[str, float]) -> str:
    return f"{affine['gain']:.3f} x {affine['offset']:+.1f}/255"


def _tags(summary: Summary) -> list[str]:
    rows = []
    for name, row in summary["recall"].items():
        bar = "{:g}, {:g}".format(*BARS[name]) if name in BARS else ""
        words = [f"{row[key]:.3f}" if key in row else "" for key in ("word_first", "word_in_five")]
        rows.append((name, f"{row['mean']:.3f}", f"{row['low']:.3f} .. {row['high']:.3f}", bar, *words))
    return [
        *table(("photos", "macro recall at 3", "95 %", "bar, reach", "word first", "word among five"), rows),
        f"| always {', '.join(summary['commonest'])} | {summary['prior']:.3f} | | | | |",
        "",
        "Severe: each photo once behind glass and once blurred. Intervals: bootstrap over the classes of each tag.",
        f"Words: of {summary.get('with_word', 0)} photos, whose classes have one.",
    ]


def _diagnosis(summary: Summary) -> list[str]:
    faults = [
        (name, f"{row['auc']:.3f}", f"{row['found']:.1%}", f"{row['found_in_sharp']:.1%}")
        for name, row in summary["faults"].items()
    ]
    kind = f"; of a found blur the kind is right in {summary['kind_right']:.1%}" if summary["kind_right"] else ""
    real = [
        (name, f"{sum(row['right'] for row in rows)} of {len(rows)}") for name, rows in summary["real"].items() if rows
    ]
    bins = [
        (name, f"{row['likelihood']:.2f}", f"{row['share']:.2f}", str(row["count"]))
        for name, found in summary["faults"].items()
        for row in found["reliability"]
    ]
    return [
        f"Sharp photos, and {summary['versions']} versions of each behind simulated glass and blurred. Left alone are "
        f"{summary['left_alone']:.1%} of the sharp ones{kind}.",
        "",
        *table(("fault", "area under the ROC curve", "found where it is", "found in sharp photos"), faults),
        "",
        *table(("real photos, at their own size", "right"), real),
        "",
        "Reliability: where the likelihood said is so much, that share of photos has the fault, both answers weighted",
        "to be equally frequent.",
        "",
        *table(("fault", "likelihood", "share", "photos"), bins),
    ]
