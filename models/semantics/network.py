"""The tagger: a photo, reduced to a small square, to a score for each tag.

Two thousand photos are too few to train image features from scratch. So local patches are described by dense SIFT
(:func:`dense_sift`), the photo by how its patches differ from a codebook of typical ones, a **Fisher
vector** (Perronnin, Sanchez and Mensink, ECCV 2010), and only the last, linear layer is trained by gradient descent.
The codebook, a PCA projection and a mixture of Gaussians, is fitted to the training photos' own patches
(:meth:`TagNetwork.fit_codebook`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from models.semantics.vocabulary import vocabulary

MIN_VARIANCE = 1e-3  # least variance of a Gaussian
DIRECTIONS, CELL_PX, CELLS_ACROSS = 8, 4, 4
SHAPE_DIM = DIRECTIONS * CELLS_ACROSS * CELLS_ACROSS
COLOUR_PLACE_DIM = 5  # three of colour, two of place
NORM_FLOOR = 0.02  # descriptors below this norm are mostly noise
MAX_VALUE = 0.2


def squeeze(photo: Tensor, size: int) -> Tensor:
    """Resize a whole B x 3 x H x W photo to a square of ``size`` px, antialiased."""
    if photo.shape[-2:] == (size, size):
        return photo
    return F.interpolate(photo, (size, size), mode="bilinear", antialias=True)


def dense_sift(photo: Tensor) -> tuple[Tensor, Tensor]:
    """Return shapes, B x N x 128, and colour and place, B x N x 5, of N patches of B x 3 x H x W in [0, 1].

    A descriptor (Lowe, IJCV 2004) is 4 x 4 cells of 4 x 4 pixels, each with the energy of gradients in eight
    directions, normalised for contrast (which a veil lowers), clipped, normalised again, and square-rooted
    (Arandjelovic and Zisserman, CVPR 2012). Patches are 4 pixels apart, sides at least
    16 px; place is -0.5 .. 0.5 across and down.
    """
    cells = _directions(photo)
    batch = len(photo)
    shape = F.unfold(cells, CELLS_ACROSS).transpose(1, 2)
    shape = shape / (shape.norm(dim=2, keepdim=True) + NORM_FLOOR)
    shape = shape.clamp(max=MAX_VALUE)
    shape = (shape / (shape.norm(dim=2, keepdim=True) + 1e-3) + 1e-6).sqrt()
    colour = F.avg_pool2d(photo, CELL_PX * CELLS_ACROSS, CELL_PX)
    rows, columns = colour.shape[-2:]
    down, across = (torch.linspace(-0.5, 0.5, n, device=photo.device, dtype=photo.dtype) for n in (rows, columns))
    place = torch.stack(torch.meshgrid(across, down, indexing="xy")).expand(batch, -1, -1, -1)
    return shape, torch.cat([colour, place], 1).flatten(2).transpose(1, 2)


def _directions(photo: Tensor) -> Tensor:
    """Return the energy of gradients by direction, of the strongest colour, in overlapping cells: B x 8 x H/4 x W/4."""
    padded = F.pad(photo, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    down = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    strongest = (across**2 + down**2).argmax(1, keepdim=True)
    across, down = across.gather(1, strongest), down.gather(1, strongest)
    angles = torch.arange(DIRECTIONS, device=photo.device, dtype=photo.dtype) * (2 * math.pi / DIRECTIONS)
    along = (across * angles.cos()[:, None, None] + down * angles.sin()[:, None, None]).clamp(min=0)
    square = along * along
    energy = square * square * along / (across**2 + down**2 + 1e-8) ** 2
    # Twice the cell's width, as a pixel counts for its neighbours too.
    return F.avg_pool2d(energy, 2 * CELL_PX, CELL_PX, CELL_PX // 2, count_include_pad=False)


class TagNetwork(ModelMixin, ConfigMixin):
    """The tagging network.

    Args:
        tags: Names of the outputs, by default the vocabulary's. They are kept with the weights, so that a vocabulary
            that grows later does not shift them.
        sizes: Sides in pixels of the squares that the photo is reduced to, the largest first; patches of each are used.
        axes: Principal axes of the patches' shape that are kept.
        gaussians: Components of the mixture.
        dropout: Share of the Fisher vector that is dropped in training.
    """

    config_name = "config.json"
    multiple = 16

    @register_to_config
    def __init__(
        self,
        tags: tuple[str, ...] = (),
        sizes: tuple[int, ...] = (128, 96, 64),
        axes: int = 48,
        gaussians: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        tags = tuple(tags) or vocabulary().tags
        self.register_to_config(tags=tags)
        if any(size % self.multiple for size in sizes) or list(sizes) != sorted(sizes, reverse=True):
            raise ValueError(f"sizes must be multiples of {self.multiple}, the largest first; got {list(sizes)}.")
        depth = axes + COLOUR_PLACE_DIM
        self.middle = nn.Parameter(torch.zeros(SHAPE_DIM))
        self.projection = nn.Parameter(torch.eye(SHAPE_DIM, axes))
        self.beside = nn.Parameter(torch.tensor([[0.45, 0.45, 0.45, 0.0, 0.0], [1.0, 1.0, 1.0, 0.7, 0.7]]))
        self.shares = nn.Parameter(torch.full((gaussians,), -math.log(gaussians)))  # logarithms
        self.means = nn.Parameter(torch.randn(gaussians, depth) * 0.1)
        self.variances = nn.Parameter(torch.full((gaussians, depth), -2.0))  # logarithms
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(2 * gaussians * depth, len(tags))
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, -math.log(max(1, len(tags) - 1)))  # each tag as likely as any other

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return tuple(self.config.tags)

    @property
    def size(self) -> int:
        """Side in pixels of the largest square."""
        return int(self.config.sizes[0])

    def forward(self, photo: Tensor) -> Tensor:
        """Return the logits of the tags, B x T, of B x 3 x H x W in [0, 1], of any size."""
        return self.score(self.fisher_vector(self.patches(photo)))

    def score(self, vector: Tensor) -> Tensor:
        """Map Fisher vectors, B x D, to logits."""
        logits: Tensor = self.head(self.drop(vector))
        return logits

    def patches(self, photo: Tensor) -> Tensor:
        """Return the descriptors of a photo at all sizes, on their principal axes: B x N x depth."""
        found = []
        for size in self.config.sizes:
            photo = squeeze(photo, size)
            shape, beside = dense_sift(photo)
            found.append(
                torch.cat([(shape - self.middle) @ self.projection, (beside - self.beside[0]) * self.beside[1]], 2)
            )
        return torch.cat(found, 1)

    def responsibilities(self, patches: Tensor) -> Tensor:
        """Return the responsibility of each Gaussian for each patch: B x N x gaussians, of sum 1."""
        precision = torch.exp(-self.variances)
        constant = (self.means**2 * precision).sum(1) + self.variances.sum(1) - 2 * self.shares
        distance = patches**2 @ precision.T - 2 * patches @ (self.means * precision).T + constant
        return torch.softmax(-distance / 2, 2)

    def fisher_vector(self, patches: Tensor) -> Tensor:
        """Return the improved Fisher vector of patches, B x D, D = 2 gaussians depth, of length sqrt(D)."""
        given = self.responsibilities(patches).transpose(1, 2)
        count = given.sum(2, keepdim=True)
        first, second = given @ patches, given @ patches**2
        deviation, share = torch.exp(self.variances / 2), torch.exp(self.shares)[:, None]
        mean = (first - count * self.means) / deviation / share.sqrt()
        variance = (second - 2 * self.means * first + count * self.means**2) / deviation**2 - count
        both = torch.cat([mean.flatten(1), (variance / (2 * share).sqrt()).flatten(1)], 1) / patches.shape[1]
        rooted = both.sign() * (both.abs() + 1e-12).sqrt()
        return F.normalize(rooted, dim=1) * math.sqrt(both.shape[1])

    @torch.no_grad()
    def fit_codebook(self, photos: Tensor, seed: int, kept: int = 150, rounds: int = 12) -> None:
        """Fit axes and mixture to ``kept`` patches of each photo (B x 3 x H x W): PCA, k-means, then EM."""
        generator = torch.Generator().manual_seed(seed)
        shapes, besides = [], []
        for photo in photos.split(1):
            for size in self.config.sizes:
                photo = squeeze(photo, size)
                shape, beside = dense_sift(photo)
                chosen = torch.randint(shape.shape[1], (max(1, kept // len(self.config.sizes)),), generator=generator)
                shapes.append(shape[0, chosen])
                besides.append(beside[0, chosen])
        shape, beside = torch.cat(shapes), torch.cat(besides)
        self.middle.copy_(shape.mean(0))
        _, vectors = torch.linalg.eigh(torch.cov(shape.T))
        self.projection.copy_(vectors.flip(1)[:, : self.projection.shape[1]])
        self.beside[0, :3] = beside[:, :3].mean(0)
        patches = torch.cat([(shape - self.middle) @ self.projection, (beside - self.beside[0]) * self.beside[1]], 1)
        words = len(self.means)
        means = patches[torch.randperm(len(patches), generator=generator)[:words]].clone()
        for _ in range(rounds):
            nearest = F.one_hot(torch.cdist(patches, means).argmin(1), words).float()
            means = torch.where(
                nearest.sum(0)[:, None] > 0, nearest.T @ patches / nearest.sum(0)[:, None].clamp(min=1), means
            )
        self.means.copy_(means)
        self.variances.copy_(patches.var(0).log().expand_as(self.means) - 1)
        for _ in range(rounds):
            given = self.responsibilities(patches[None])[0]
            count = given.sum(0).clamp(min=1e-3)
            self.shares.copy_((count / count.sum()).log())
            self.means.copy_(given.T @ patches / count[:, None])
            variance = given.T @ patches**2 / count[:, None] - self.means**2
            self.variances.copy_(variance.clamp(min=MIN_VARIANCE).log())
