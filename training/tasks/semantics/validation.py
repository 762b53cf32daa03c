"""Validation of semantic guidance on photos held out by class or by name."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from degradations.sample_rng import SampleRNG, Stream
from degradations.severity import degrade
from models.semantics.vocabulary import vocabulary
from training.data.photos import WHOLE
from training.data.semantic import tag_of
from training.tasks.semantics.config import SemanticRun
from training.tasks.semantics.dataset import UNKNOWN, DegradedPhotos
from training.tasks.semantics.objective import DIAGNOSIS, DISTILL, SemanticObjective, look

TOP_TAGS = 3


def pooled(logits: Tensor, names: Sequence[str]) -> Tensor:
    """Add up the probabilities of the classes, B x 1000, of each word or tag: B x names."""
    shares = logits.float().softmax(1)
    return torch.stack([shares[:, list(vocabulary().members(name))].sum(1) for name in names], 1)


def macro_recall(scores: Tensor, tags: Sequence[int], top: int = TOP_TAGS) -> float:
    """Return the mean over the tags of the share of their photos where they are among the ``top`` scores (N x T)."""
    truth = torch.tensor(tags)
    hit = (scores.topk(min(top, scores.shape[1]), 1).indices == truth[:, None]).any(1).double()
    return float(torch.stack([hit[truth == tag].mean() for tag in truth.unique()]).mean())


def auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """Return the area under the ROC curve: how often a positive has a higher score than a negative; NaN without both.

    From the sum of ranks (Mann and Whitney, 1947); ties count half.
    """
    marks = np.array(positive, bool)
    n, m = int(marks.sum()), int((~marks).sum())
    if not n or not m:
        return float("nan")
    return float((rankdata(scores)[marks].sum() - n * (n + 1) / 2) / (n * m))


class SemanticValidator:
    """What a stage learns, measured on held-out photos.

    With ``distill``: macro recall at 3 of the coarse tags, in percent, of at most ``validation_samples`` photos whose
    names tell their class, each under every degradation. With terms of the diagnosis: the area under the ROC curve, in
    percent, of there being a reflection and of blur, on ``validation_samples`` samples.
    """

    def __init__(self, config: SemanticRun) -> None:
        self.losses, self.batch, self.names = set(config.losses), config.micro_batch, vocabulary().tags
        data = DegradedPhotos(config.data, config.seed, validation=True)
        self.tags, self.sets = [], {}
        size, count = config.validation_size, config.validation_samples
        if DISTILL in self.losses and count:
            named = [i for i, file in enumerate(data.photos.files) if tag_of(file)]
            kept = named[:: max(1, -(-len(named) // count))]
            self.tags = [self.names.index(str(tag_of(data.photos.files[i]))) for i in kept]
            shown = [WHOLE.take(data.photos.photos[i], size) for i in kept]
            self.sets = {"sharp": shown} if shown else {}
            for kind in ("glass", "blur") if shown else ():
                self.sets[kind] = [
                    degrade(photo, kind, shown[i - 1], SampleRNG(config.seed, i, Stream.SEVERE))
                    for i, photo in enumerate(shown)
                ]
        diagnosed = set(DIAGNOSIS) & self.losses and count
        numbers = range(count if diagnosed else 0)
        parts = [numbers[at : at + self.batch] for at in range(0, len(numbers), self.batch)]
        self.samples = [data.batch(part, config.data.sizes[-1]) for part in parts]

    @torch.no_grad()
    def run(self, objective: SemanticObjective, device: torch.device) -> dict[str, float]:
        """Measure the network of ``objective`` as it is: see the class."""
        network = objective.network
        network.eval()
        row = {}
        for name, photos in self.sets.items():
            parts = torch.stack(photos).split(self.batch)
            logits = torch.cat([network(part.to(device)).float().cpu() for part in parts])
            row[name] = 100 * macro_recall(pooled(logits, self.names), self.tags)
        if self.samples:
            found = [network.diagnose(look(network, batch["input"].to(device))) for batch in self.samples]
            for name, label, scores in (
                ("reflection", "reflected", [f.reflected for f in found]),
                ("blur", "kind", [-f.kinds.float().log_softmax(1)[:, 0] for f in found]),
            ):
                marks = torch.cat([batch[label] for batch in self.samples])
                known = marks != UNKNOWN
                row[name] = 100 * auc(torch.cat(scores).float().cpu()[known].tolist(), (marks[known] > 0).tolist())
        network.train()
        return row
