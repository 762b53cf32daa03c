"""The training objective of the tag network.

Each term has a weight in the configuration's ``losses``:

``rank``   cross-entropy over the tags: the tag of the photo's class before all others;
``score``  binary cross-entropy of each tag, so that the score itself has a meaning. A photo may show more than its
           class: the other tags are not known to be absent, hence ``smoothing``.

The codebook is fitted to the training photos, not learnt by gradient (`TagNetwork.fit_codebook`): a sample's Fisher
vector is computed once and kept.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.semantics.network import TagNetwork
from training.data.photos import WHOLE
from training.data.sources import Batch
from training.tasks.semantics.config import SemanticRun
from training.tasks.semantics.dataset import TaggedPhotos

CODEBOOK = ("middle", "projection", "beside", "shares", "means", "variances")
CODEBOOK_PHOTOS = 400


def fit_codebook(network: TagNetwork, data: TaggedPhotos, config: SemanticRun) -> None:
    """Fit the codebook of a new network to the training photos as they are."""
    step = max(1, len(data.photos) // CODEBOOK_PHOTOS)
    photos = [WHOLE.take(photo, network.size) for photo in data.photos.photos[::step]]
    network.fit_codebook(torch.stack(photos).to(network.means.device), config.seed)


class SemanticObjective(nn.Module):
    """See above; ValueError, naming the setting, for unknown losses or sizes that do not fit the network."""

    def __init__(self, network: TagNetwork, config: SemanticRun) -> None:
        super().__init__()
        self.network, self.config = network, config
        self._vectors: dict[int, Tensor] = {}
        if not config.losses or set(config.losses) - {"rank", "score"}:
            raise ValueError(f"losses of semantics are rank and score; got {', '.join(config.losses) or 'none'}.")
        if {*config.data.sizes, config.validation_size} != {network.size}:
            raise ValueError(f"data.sizes and validation_size must be the network's largest size, {network.size}.")

    def forward(self, batch: Batch, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample (B), and the mean of each term."""
        logits, tags = self.network.score(self._fisher_vectors(batch["input"], indices)).float(), batch["tags"]
        wanted = tags * (1 - self.config.smoothing) + self.config.smoothing / tags.shape[1]
        terms = {
            "rank": -(wanted * logits.log_softmax(1)).sum(1),
            "score": F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1),
        }
        total = torch.stack([weight * terms[name] for name, weight in self.config.losses.items()]).sum(0)
        return total, {name: terms[name].detach().mean() for name in self.config.losses}

    @torch.no_grad()
    def _fisher_vectors(self, photos: Tensor, indices: list[int]) -> Tensor:
        keys = [index % self.config.data.samples for index in indices]
        new = [place for place, key in enumerate(keys) if key not in self._vectors]
        if new:
            for place, vector in zip(new, self.network.fisher_vector(self.network.patches(photos[new])), strict=True):
                self._vectors[keys[place]] = vector.half()
        return torch.stack([self._vectors[key] for key in keys]).float()
