"""Samples for semantic guidance: whole photos with the tag of their class, behind simulated glass or blurred."""

from collections.abc import Sequence

import torch
from torch import Tensor

from degradations.blur import draw_blur, simulate_blur
from degradations.reflection import draw_scene, draw_view, simulate
from degradations.sample_rng import SampleRNG, Stream
from models.semantics.vocabulary import vocabulary
from training.data.manifest import list_images, manifest_hash
from training.data.photos import Crop, PhotoStore
from training.data.semantic import Split, split_of, tag_of
from training.data.sources import Batch
from training.tasks.semantics.config import TaggedDataConfig

GRAY = (0.299, 0.587, 0.114)  # ITU-R BT.601


class TaggedPhotos:
    """The photos of one side of the split whose names tell their tag; an error where there is none.

    ``batch(indices, size)`` gives ``input``, B x 3 x size x size in [0, 1]: most of a photo, squeezed to a square as
    in use; and ``tags``, B x T, the weight of each tag (1 in all; two tags share it where two photos were blended:
    mixup, Zhang et al., ICLR 2018). Every tag is drawn as often as any other. Sample *i* depends on (seed, i, size)
    alone, up to rounding. After ``samples`` they come again: they are kept, as 8-bit pictures.
    """

    def __init__(self, config: TaggedDataConfig, seed: int, split: Split = "train") -> None:
        self.config, self.seed, self.split = config, seed, split
        self.files = [f for folder in config.clean for f in list_images(config.root / folder) if tag_of(f)]
        if config.limit is not None:
            self.files = self.files[:: max(1, len(self.files) // config.limit)][: config.limit]
        mine = [f for f in self.files if split_of(f) == split]
        if not mine:
            folders = ", ".join(str(config.root / folder) for folder in config.clean)
            raise ValueError(
                f"No photo of {folders} names an ImageNet class of the {split} split (n02088364_beagle.jpg, or a "
                "folder n02088364): see models/semantics/classes.csv."
            )
        self.photos = PhotoStore(mine, config.store_side)
        names = vocabulary().tags
        self.tags = [names.index(tag) for f in mine if (tag := tag_of(f))]
        self._made: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
        self.by_tag = [
            places for tag in range(len(names)) if (places := [i for i, t in enumerate(self.tags) if t == tag])
        ]

    def manifest(self) -> str:
        """Return one hash over every file of the run, all sides of the split."""
        return manifest_hash(self.files, self.config.root)

    def batch(self, indices: Sequence[int], size: int, device: torch.device | str = "cpu") -> Batch:
        """Make the samples ``indices``, ``size`` x ``size`` px, by name: see the class."""
        keys = [(index % self.config.samples, size) for index in indices]
        missing = [key for key in dict.fromkeys(keys) if key not in self._made]
        if missing:
            made = self._make([index for index, _ in missing], size, device)
            for key, photo, tags in zip(missing, (made["input"] * 255).round().byte(), made["tags"], strict=True):
                self._made[key] = (photo, tags)
        return {
            "input": torch.stack([self._made[key][0] for key in keys]).float() / 255,
            "tags": torch.stack([self._made[key][1] for key in keys]),
        }

    def _make(self, indices: Sequence[int], size: int, device: torch.device | str) -> Batch:
        drawn = [SampleRNG(self.seed, i, Stream.TRAINING.of(self.split != "train")) for i in indices]
        photos, tags = zip(*(self._draw(rng, size) for rng in drawn), strict=True)
        shown = torch.stack(photos).to(device)
        c = self.config
        kinds = [rng.uniform() for rng in drawn]
        glass = [i for i, kind in enumerate(kinds) if kind < c.glass_share]
        blurred = [
            i for i, kind in enumerate(kinds) if c.glass_share - c.both <= kind < c.glass_share - c.both + c.blur_share
        ]
        if blurred:
            blurs = [draw_blur(drawn[i], c.blur, size, size) for i in blurred]
            shown[blurred] = simulate_blur(shown[blurred], blurs)["input"]
        if glass:
            worlds = torch.stack([self.photos.draw(drawn[i], size, 0.6) for i in glass]).to(device)
            views = [draw_view(drawn[i], draw_scene(drawn[i], c.glass), size, size, c.glass) for i in glass]
            shown[glass] = simulate(shown[glass], worlds, views)["input"]
        return {"input": shown, "tags": torch.stack(tags).to(device)}

    def _draw(self, rng: SampleRNG, size: int) -> tuple[Tensor, Tensor]:
        """Draw a photo under a light of its own, and its tags."""
        photo, tag = self._take(rng, size)
        tags = torch.zeros(len(vocabulary().tags))
        tags[tag] = 1
        if rng.chance(self.config.mix):
            other, second = self._take(rng, size)
            weight = rng.uniform(0.5, 1.0)
            photo, tags = weight * photo + (1 - weight) * other, tags * weight
            tags[second] += 1 - weight
        return self._relight(photo, rng), tags

    def _take(self, rng: SampleRNG, size: int) -> tuple[Tensor, int]:
        places = self.by_tag[rng.integer(len(self.by_tag))]
        place = places[rng.integer(len(places))]
        share, stretch = rng.uniform(self.config.smallest, 1.0), rng.log_uniform(0.8, 1.25) ** 0.5
        height, width = min(1.0, share * stretch), min(1.0, share / stretch)
        crop = Crop(rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width, rng.chance(0.5))
        return crop.take(self.photos.photos[place], size), self.tags[place]

    def _relight(self, photo: Tensor, rng: SampleRNG) -> Tensor:
        """Change contrast, brightness, saturation and white balance, as other cameras and hours would."""
        c = self.config.colour
        gray = sum(weight * photo[i] for i, weight in enumerate(GRAY))
        photo = gray + (photo - gray) * rng.uniform(1 - c, 1 + c)
        gain = torch.tensor([rng.uniform(1 - c / 4, 1 + c / 4) for _ in range(3)])[:, None, None]
        middle = photo.mean()
        return ((photo - middle) * gain * rng.uniform(1 - c / 2, 1 + c / 2) + middle + rng.uniform(-c, c) / 4).clamp(
            0, 1
        )
