"""Measure a tag model on classes held out by name.

    python -m training.tasks.semantics.evaluation --model semantics-small --data data/train/semantic --out report/

The measure is macro recall at 3 (the mean over tags of the share of a tag's photos where it is among the three highest
scores) on the test split of `training.data.semantic`, through the pipeline that ships: on sharp photos, and on severely
degraded ones, each photo once behind glass and once blurred (`degradations.severity`). The baseline always answers the
three commonest tags of the training split. Intervals: 95 %, bootstrap over the classes of each tag.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from degradations.sample_rng import SampleRNG, Stream
from degradations.severity import degrade
from models import hub
from models.semantics.pipeline import SemanticsPipeline
from models.semantics.vocabulary import vocabulary
from training.core.command import Command
from training.data.manifest import list_images
from training.data.photos import read_photo
from training.data.semantic import class_of, split_of, tag_of
from training.evaluation.protocol import EvaluationError
from training.evaluation.report import Summary
from training.evaluation.tables import markdown
from training.tasks.semantics.validation import TOP_TAGS

PROTOCOL = f"tags-recall-at-{TOP_TAGS}"
SIDE_PX = 192  # px, the shorter side at which photos are degraded
SEED, RESAMPLES = 0, 2000


def evaluate(pipeline: SemanticsPipeline, data: Path) -> Summary:
    """Make the report, without who was measured; EvaluationError where ``data`` has no photo of the test split."""
    files = [f for f in list_images(data) if tag_of(f)]
    test = [f for f in files if split_of(f) == "test"]
    if not test:
        raise EvaluationError(f"{data} holds no photo whose name tells an ImageNet class of the test split.")
    counts = Counter(tag_of(f) for f in files if split_of(f) == "train")
    commonest = [str(tag) for tag, _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:TOP_TAGS]]
    tags, classes = [str(tag_of(f)) for f in test], [str(class_of(f)) for f in test]
    photos = [read_photo(f, SIDE_PX).float() / 255 for f in test]
    hits: dict[str, list[bool]] = {"sharp": [], "glass": [], "blur": []}
    for i, (photo, tag) in enumerate(zip(photos, tags, strict=True)):
        other = photos[i - 1][None]
        world = torch.nn.functional.interpolate(other, photo.shape[-2:], mode="bilinear", antialias=True)[0]
        shown = {"sharp": photo}
        for kind in ("glass", "blur"):
            shown[kind] = degrade(photo, kind, world, SampleRNG(SEED, i, Stream.SEVERE))
        for kind, picture in shown.items():
            answer = pipeline(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()))
            hits[kind].append(tag in [said.name for said in answer[:TOP_TAGS]])
    prior = macro([tag in commonest for tag in tags], tags)
    conditions = {"sharp": ["sharp"], "severe": ["glass", "blur"], "glass": ["glass"], "blur": ["blur"]}
    rows = {}
    for name, kinds in conditions.items():
        found = [hit for kind in kinds for hit in hits[kind]]
        rows[name] = interval(found, tags * len(kinds), classes * len(kinds)) | {"photos": len(found)}
    each = {tag: macro([h for h, t in zip(hits["sharp"], tags, strict=True) if t == tag], [tag]) for tag in set(tags)}
    return {
        "kind": "tags",
        "protocol": PROTOCOL,
        "data": data.name,
        "images": len(test),
        "classes": len(set(classes)),
        "prior": prior,
        "commonest": commonest,
        "recall": rows,
        "by_tag": {tag: each[tag] for tag in vocabulary().tags if tag in each},
    }


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
    parser.add_argument("--data", type=Path, required=True, help="photos whose names tell their ImageNet class")
    parser.add_argument("--out", type=Path, help="also write report.json and report.md there")
    options = parser.parse_args(arguments)
    with parser.reporting():
        folder, revision = hub.locate(options.model)
        summary = evaluate(SemanticsPipeline.from_pretrained(folder), options.data)
    name = folder.name if Path(options.model).is_dir() else options.model
    summary |= {"model": name, "revision": revision}
    print(markdown(summary))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "report.json").write_text(json.dumps(summary, indent=2) + "\n")
        (options.out / "report.md").write_text(markdown(summary))


if __name__ == "__main__":
    main()
