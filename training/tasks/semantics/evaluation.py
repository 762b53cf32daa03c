"""Measure semantic guidance: its words on classes held out by name, its diagnosis on photos that no run has seen.

    python -m training.tasks.semantics.evaluation --model semantics-small --data data/train/semantic --out report/tags
    python -m training.tasks.semantics.evaluation --model semantics-small --sharp data/test/clean --out report/diagnosis

**Words** (``--data``): macro recall at 3 of the coarse tags (the mean over tags of the share of a tag's photos where it
is among the three highest scores), and the share of photos whose everyday word is first, and among the first five, on
the test split of `training.data.semantic`, through the pipeline that ships: on sharp photos, and on severely degraded
ones, each photo once behind glass and once blurred (`degradations.severity`). The baseline always answers the three
commonest tags of the training split. Intervals: 95 %, bootstrap over the classes of each tag.

**Diagnosis** (``--sharp``): each sharp photo as it is, and several times behind simulated glass and simulated blur of
the simulators' own distributions: the area under the ROC curve, the share of sharp photos left alone, how often the
kind of a found blur is right, and reliability. With ``--reflected`` and ``--blurred``, folders of real photos: the
share that is found.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from degradations.blur import draw_blur, simulate_blur
from degradations.blur_families import BlurConfig
from degradations.reflection import GlassConfig, draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from degradations.severity import degrade
from models import hub
from models.semantics.network import KINDS
from models.semantics.pipeline import Diagnosis, SemanticsPipeline
from models.semantics.vocabulary import vocabulary
from training.core.command import Command
from training.data.manifest import list_images
from training.data.photos import read_photo
from training.data.semantic import class_of, split_of, tag_of
from training.evaluation.protocol import EvaluationError
from training.evaluation.report import Summary
from training.evaluation.tables import markdown
from training.tasks.semantics.dataset import kind_of
from training.tasks.semantics.validation import TOP_TAGS, auc

PROTOCOL = f"tags-recall-at-{TOP_TAGS}"
DIAGNOSIS_PROTOCOL = "diagnosis-simulated"
SIDE_PX = 192  # px, the shorter side at which photos of a class are degraded
DIAGNOSED_SIDE_PX = 384  # px, the shorter side at which the photos of the diagnosis are degraded
VERSIONS = 4  # of each photo behind glass, and blurred
TOP_WORDS = 5
BINS = 5  # of the reliability curve
SEED, RESAMPLES = 0, 2000
ALWAYS_GLASS, ALWAYS_BLUR = replace(GlassConfig(), clean=0.0), replace(BlurConfig(), clean=0.0)


def evaluate(pipeline: SemanticsPipeline, data: Path) -> Summary:
    """Measure the words, without who was measured; EvaluationError where ``data`` has no photo of the test split."""
    files = [f for f in list_images(data) if tag_of(f)]
    test = [f for f in files if split_of(f) == "test"]
    if not test:
        raise EvaluationError(f"{data} holds no photo whose name tells an ImageNet class of the test split.")
    counts = Counter(tag_of(f) for f in files if split_of(f) == "train")
    commonest = [str(tag) for tag, _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:TOP_TAGS]]
    tags, classes = [str(tag_of(f)) for f in test], [str(class_of(f)) for f in test]
    photos = [read_photo(f, SIDE_PX).float() / 255 for f in test]
    hits: dict[str, list[bool]] = {"sharp": [], "glass": [], "blur": []}
    ranks: dict[str, list[int]] = {name: [] for name in hits}  # of the word, where the class has one
    for i, (photo, tag) in enumerate(zip(photos, tags, strict=True)):
        other = photos[i - 1][None]
        world = torch.nn.functional.interpolate(other, photo.shape[-2:], mode="bilinear", antialias=True)[0]
        shown = {"sharp": photo}
        for kind in ("glass", "blur"):
            shown[kind] = degrade(photo, kind, world, SampleRNG(SEED, i, Stream.SEVERE))
        for kind, picture in shown.items():
            answer = pipeline(_array(picture))
            hits[kind].append(tag in [said.name for said in answer.tags[:TOP_TAGS]])
            if word := vocabulary().class_words.get(classes[i]):
                ranks[kind].append([said.name for said in answer.words].index(word))
    prior = macro([tag in commonest for tag in tags], tags)
    conditions = {"sharp": ["sharp"], "severe": ["glass", "blur"], "glass": ["glass"], "blur": ["blur"]}
    rows = {}
    for name, kinds in conditions.items():
        found = [hit for kind in kinds for hit in hits[kind]]
        placed = np.array([rank for kind in kinds for rank in ranks[kind]])
        rows[name] = interval(found, tags * len(kinds), classes * len(kinds)) | {"photos": len(found)}
        rows[name] |= {"word_first": float((placed == 0).mean()), "word_in_five": float((placed < TOP_WORDS).mean())}
    each = {tag: macro([h for h, t in zip(hits["sharp"], tags, strict=True) if t == tag], [tag]) for tag in set(tags)}
    return {
        "kind": "tags",
        "protocol": PROTOCOL,
        "data": data.name,
        "images": len(test),
        "classes": len(set(classes)),
        "with_word": len(ranks["sharp"]),
        "prior": prior,
        "commonest": commonest,
        "recall": rows,
        "by_tag": {tag: each[tag] for tag in vocabulary().tags if tag in each},
    }


def evaluate_diagnosis(
    pipeline: SemanticsPipeline, sharp: Path, reflected: Path | None = None, blurred: Path | None = None
) -> Summary:
    """Measure the diagnosis, without who was measured. Raises DataError for a folder without photos."""
    files = list_images(sharp)
    photos = [read_photo(file, DIAGNOSED_SIDE_PX).float() / 255 for file in files]
    clean = [pipeline(_array(photo)).diagnosis for photo in photos]
    glass, blur, kinds = [], [], []
    for i, photo in enumerate(photos):
        height, width = photo.shape[-2:]
        other = photos[i - 1][None]
        world = torch.nn.functional.interpolate(other, (height, width), mode="bilinear", antialias=True)
        for version in range(VERSIONS):
            rng = SampleRNG(SEED, VERSIONS * i + version, Stream.SEVERE)
            view = draw_view(rng, draw_scene(rng, ALWAYS_GLASS), height, width, ALWAYS_GLASS)
            glass.append(pipeline(_array(simulate(photo[None], world, [view])["input"][0])).diagnosis)
            drawn = draw_blur(rng, ALWAYS_BLUR, height, width)
            blur.append(pipeline(_array(simulate_blur(photo[None], [drawn])["input"][0])).diagnosis)
            kinds.append(KINDS[kind_of(drawn)])
    right = [seen.kind == kind for seen, kind in zip(blur, kinds, strict=True) if "blur" in seen.found]
    summary: Summary = {
        "kind": "diagnosis",
        "protocol": DIAGNOSIS_PROTOCOL,
        "data": sharp.name,
        "images": len(files),
        "versions": VERSIONS,
        "left_alone": float(np.mean([not seen.found for seen in clean])),
        "kind_right": float(np.mean(right)) if right else None,
        "faults": {},
        "real": {},
    }
    for fault, name, degraded in (("reflection", "reflected", glass), ("blur", "blurred", blur)):
        likely = [getattr(seen, name) for seen in (*clean, *degraded)]
        marks = [False] * len(clean) + [True] * len(degraded)
        summary["faults"][fault] = {
            "auc": auc(likely, marks),
            "found": float(np.mean([fault in seen.found for seen in degraded])),
            "found_in_sharp": float(np.mean([fault in seen.found for seen in clean])),
            "reliability": reliability(likely, marks),
        }
    for fault, folder in (("reflection", reflected), ("blur", blurred)):
        if folder is not None:
            summary["real"][fault] = [_found(pipeline, file, fault) for file in list_images(folder)]
    summary["real"]["sharp"] = [_found(pipeline, file) for file in files]
    return summary


def _found(pipeline: SemanticsPipeline, file: Path, fault: str = "") -> dict[str, Any]:
    """Return what is found in a real photo at its own size, and whether that is right: ``fault``, or nothing."""
    seen: Diagnosis = pipeline(_array(read_photo(file).float() / 255)).diagnosis
    right = fault in seen.found if fault else not seen.found
    likely = {"reflected": round(seen.reflected, 3), "blurred": round(seen.blurred, 3)}
    return {"photo": file.stem, "right": right, **likely}


def reliability(likely: Sequence[float], marks: Sequence[bool]) -> list[dict[str, float]]:
    """Return mean likelihood, share that is so and count of the samples in bins of likelihood (empty ones left out).

    Samples are weighted so that both answers are equally frequent, as they were about in training.
    """
    values, truth = np.array(likely), np.array(marks, float)
    weights = np.where(truth > 0, 0.5 / max(truth.sum(), 1), 0.5 / max((1 - truth).sum(), 1))
    places = np.minimum((values * BINS).astype(int), BINS - 1)
    rows = []
    for place in range(BINS):
        mine = places == place
        if mine.any():
            said, true = (float(np.average(x[mine], weights=weights[mine])) for x in (values, truth))
            rows.append({"likelihood": said, "share": true, "count": int(mine.sum())})
    return rows


def _array(picture: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def macro(hits: Sequence[bool], tags: Sequence[str]) -> float:
    """Return the mean over the tags of the share of their photos that hit; one tag alone: that share."""
    if len(set(tags)) == 1:
        return float(np.mean(hits))
    marks, names = np.array(hits, float), np.array(tags)
    return float(np.mean([marks[names == tag].mean() for tag in sorted(set(tags))]))


def interval(hits: Sequence[bool], tags: Sequence[str], classes: Sequence[str]) -> dict[str, Any]:
    """Return macro recall and its 95 % interval: of each tag, classes are drawn again, photos with them."""
    generator = np.random.default_rng(SEED)
    marks, names, groups = np.array(hits, float), np.array(tags), np.array(classes)
    samples = np.zeros(RESAMPLES)
    kinds = sorted(set(tags))
    for tag in kinds:
        mine = names == tag
        own = sorted(set(groups[mine]))
        right = np.array([marks[mine & (groups == name)].sum() for name in own])
        count = np.array([(mine & (groups == name)).sum() for name in own])
        drawn = generator.integers(len(own), size=(RESAMPLES, len(own)))
        samples += right[drawn].sum(1) / count[drawn].sum(1) / len(kinds)
    low, high = np.quantile(samples, [0.025, 0.975])
    return {"mean": macro(hits, tags), "low": float(low), "high": float(high)}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = Command(__doc__)
    parser.add_argument("--model", required=True, help="an id of the hub, or the folder of a finished run's model")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", type=Path, help="photos whose names tell their ImageNet class: measures the words")
    what.add_argument("--sharp", type=Path, help="sharp photos: measures the diagnosis")
    parser.add_argument("--reflected", type=Path, help="with --sharp: real photos with reflections")
    parser.add_argument("--blurred", type=Path, help="with --sharp: real blurred photos")
    parser.add_argument("--out", type=Path, help="also write report.json and report.md there")
    options = parser.parse_args(arguments)
    if options.data and (options.reflected or options.blurred):
        parser.error("--reflected and --blurred go with --sharp.")
    with parser.reporting():
        folder, revision = hub.locate(options.model)
        pipeline = SemanticsPipeline.from_pretrained(folder)
        if options.data:
            summary = evaluate(pipeline, options.data)
        else:
            summary = evaluate_diagnosis(pipeline, options.sharp, options.reflected, options.blurred)
    name = folder.name if Path(options.model).is_dir() else options.model
    summary |= {"model": name, "revision": revision}
    print(markdown(summary))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "report.json").write_text(json.dumps(summary, indent=2) + "\n")
        (options.out / "report.md").write_text(markdown(summary))


if __name__ == "__main__":
    main()
