"""The training objective of semantic guidance.

Each term has a weight in the configuration's ``losses``:

``distill``     self-distillation (Hinton et al., 2015): the network as the stage began, looking at the sharp photo,
                is the teacher of the one that looks at the same photo behind glass or blurred: the cross-entropy of
                their classes;
``reflection``  binary cross-entropy of there being a reflection, and of the share of the light that it adds;
``blur``        cross-entropy of the kind of blur, and binary cross-entropy of its extent.

The last two train the heads of the diagnosis alone: what they read of a sample is computed once and kept.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.semantics.network import SemanticsNetwork, resize
from training.data.sources import Batch
from training.tasks.semantics.config import SemanticRun
from training.tasks.semantics.dataset import UNKNOWN

DISTILL, DIAGNOSIS = "distill", ("reflection", "blur")


class SemanticObjective(nn.Module):
    """See above; ValueError, naming the setting, for unknown losses or sizes that do not fit the network."""

    def __init__(self, network: SemanticsNetwork, config: SemanticRun) -> None:
        super().__init__()
        self.network, self.config = network, config
        self._kept: dict[int, Tensor] = {}
        if not config.losses or set(config.losses) - {DISTILL, *DIAGNOSIS}:
            known = ", ".join((DISTILL, *DIAGNOSIS))
            raise ValueError(f"losses of semantics are {known}; got {', '.join(config.losses) or 'none'}.")
        if wrong := [s for s in (*config.data.sizes, config.validation_size) if s % network.multiple]:
            raise ValueError(f"data.sizes and validation_size must be multiples of {network.multiple}; got {wrong[0]}.")
        for part in network.diagnosis.modules():
            if isinstance(part, nn.Dropout):
                part.p = config.dropout
        # In a list, so that it is no part of this module: its weights are those the stage starts from.
        self._teacher = [copy.deepcopy(network).eval().requires_grad_(False)] if DISTILL in config.losses else []

    def forward(self, batch: Batch, indices: list[int]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample (B), and the mean of each term."""
        terms = {}
        if self._teacher:
            terms[DISTILL] = self._distill(batch)
        if set(self.config.losses) & set(DIAGNOSIS):
            found = self.network.diagnose(self._statistics(batch, indices))
            known = (batch["reflected"] != UNKNOWN).float()
            wanted = batch["reflected"].clamp(min=0)
            there = F.binary_cross_entropy_with_logits(found.reflected.float(), wanted, reduction="none")
            share = F.binary_cross_entropy_with_logits(found.reflection.float(), batch["reflection"], reduction="none")
            terms["reflection"] = known * there + share
            kind = F.cross_entropy(found.kinds.float(), batch["kind"], ignore_index=UNKNOWN, reduction="none")
            extent = F.binary_cross_entropy_with_logits(found.blur.float(), batch["blur"], reduction="none")
            terms["blur"] = kind + (batch["kind"] != UNKNOWN).float() * extent
        total = torch.stack([weight * terms[name] for name, weight in self.config.losses.items()]).sum(0)
        return total, {name: terms[name].detach().mean() for name in self.config.losses}

    def _distill(self, batch: Batch) -> Tensor:
        teacher = self._teacher[0].to(batch["sharp"].device)
        with torch.no_grad():
            wanted = teacher(batch["sharp"].contiguous(memory_format=torch.channels_last)).float().softmax(1)
        shown = self.network(batch["input"].contiguous(memory_format=torch.channels_last))
        return -(wanted * shown.float().log_softmax(1)).sum(1)

    @torch.no_grad()
    def _statistics(self, batch: Batch, indices: list[int]) -> Tensor:
        keys = [index % self.config.data.samples for index in indices]
        if not self.config.data.keep:
            return look(self.network, batch["input"])
        if new := [place for place, key in enumerate(keys) if key not in self._kept]:
            for place, row in zip(new, look(self.network, batch["input"][new]), strict=True):
                self._kept[keys[place]] = row
        return torch.stack([self._kept[key] for key in keys])


def look(network: SemanticsNetwork, photos: Tensor) -> Tensor:
    """Return the statistics that the diagnosis reads, B x D, of square photos no larger than its larger picture."""
    photos = photos.contiguous(memory_format=torch.channels_last)
    size = network.config.size
    return network.statistics(network.features(resize(photos, size, size)), photos)
