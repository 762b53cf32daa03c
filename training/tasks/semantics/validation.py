"""Validation of the tag network on classes held out by name: sharp, behind glass, blurred."""

from collections.abc import Sequence

import torch
from torch import Tensor

from degradations.sample_rng import SampleRNG, Stream
from degradations.severity import degrade
from training.data.photos import WHOLE
from training.tasks.semantics.config import SemanticRun
from training.tasks.semantics.dataset import TaggedPhotos
from training.tasks.semantics.objective import SemanticObjective

TOP_TAGS = 3


def macro_recall(scores: Tensor, tags: Sequence[int], top: int = TOP_TAGS) -> float:
    """Return the mean over the tags of the share of their photos where they are among the ``top`` scores (N x T)."""
    truth = torch.tensor(tags)
    hit = (scores.topk(min(top, scores.shape[1]), 1).indices == truth[:, None]).any(1).double()
    return float(torch.stack([hit[truth == tag].mean() for tag in truth.unique()]).mean())


class SemanticValidator:
    """Macro recall at 3, in percent, on at most ``validation_samples`` photos, each under every degradation."""

    def __init__(self, config: SemanticRun) -> None:
        data = TaggedPhotos(config.data, config.seed, "validation")
        step = max(1, -(-len(data.photos) // max(1, config.validation_samples)))
        kept = list(range(0, len(data.photos), step)) if config.validation_samples else []
        self.tags, self.batch = [data.tags[i] for i in kept], config.micro_batch
        size = config.validation_size
        shown = [WHOLE.take(data.photos.photos[i], size) for i in kept]
        self.sets: dict[str, list[Tensor]] = {"sharp": shown}
        self.vectors: dict[str, Tensor] = {}
        for kind in ("glass", "blur"):
            self.sets[kind] = [
                degrade(photo, kind, shown[i - 1], SampleRNG(config.seed, i, Stream.SEVERE))
                for i, photo in enumerate(shown)
            ]

    @torch.no_grad()
    def run(self, objective: SemanticObjective, device: torch.device) -> dict[str, float]:
        """Measure the network of ``objective`` as it is: see the class."""
        if not self.tags:
            return {}
        network = objective.network
        network.eval()
        row = {}
        for name, photos in self.sets.items():
            if name not in self.vectors:  # the codebook stays as it is
                chunks = torch.stack(photos).split(self.batch)
                found = [network.fisher_vector(network.patches(part.to(device))) for part in chunks]
                self.vectors[name] = torch.cat(found)
            row[name] = 100 * macro_recall(network.score(self.vectors[name]).float().cpu(), self.tags)
        network.train()
        return row
