"""The synthetic test sets of deblurring: ``python -m training.evaluate --make-blur-test``, always the same.

A folder for each family of the simulator (`degradations.blur_families`), and ``levin``: photos blurred in linear light
by one of Levin's kernels each, in turn, with 1 % noise. Each holds ``input/`` and ``target/`` (8-bit PNG of one stem),
``motion/`` (the true field, .npy, float16, H x W x 2, px) and ``manifest.json``. Photos keep their own size: a crop
would cost the longest blurs and real borders, and at the 500 px of our Kodak and McMaster copies twelve sets of 42 are
some four minutes of inference at 0.5 s an image.

Kernels: Levin et al., "Understanding and evaluating blind deconvolution algorithms" (CVPR 2009).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from degradations.blur import FAMILIES, BlurConfig, draw_blur, motion_and_defocus, simulate_blur
from degradations.blur_families import OTHERS
from degradations.camera import add_noise, to_8_bit
from degradations.filters import convolve
from degradations.kernels import Kernel, centred
from degradations.sample_rng import SampleRNG, Stream
from models.images import to_linear, to_pixels, to_srgb
from training.core.export import code_version
from training.core.files import new_folder
from training.data.manifest import manifest_hash
from training.evaluation.metrics import psnr
from training.evaluation.protocol import EvaluationError, find_pictures, flat_name, read_picture

LEVIN = "levin"
NOISE = 0.01  # of the levin set: deviation, in the picture
SEED = 0


@dataclass(frozen=True)
class Sample:
    """``input`` and ``target``: uint8 H x W x 3; ``motion``: float16 H x W x 2, px; ``facts``: for the manifest."""

    input: np.ndarray
    target: np.ndarray
    motion: np.ndarray
    facts: dict[str, Any]


def make_blur_test(photos: Path, out: Path, kernels: Path | None = None, families: Sequence[str] = ()) -> str:
    """Blur every photo below ``photos`` once a family into ``out``, and return a table of what was made.

    ``families``: some of the simulator's and "levin"; none: all, but without ``kernels`` those that need it. The
    family "kernels" takes every .npy there, turned and resized; "levin" takes the levin_*.npy as they are. Raises
    EvaluationError, also where ``out`` is there already; a stopped run leaves only ``.<out>.partial``.
    """
    if out.exists():
        raise EvaluationError(f"{out} is there already: remove it, or give another --out.")
    names = _names(families, kernels)
    files = find_pictures(photos)
    stems = [flat_name(file, photos) for file in files]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise EvaluationError(f"In {photos.name}, several photos would be named {twice[0]}: rename all but one.")
    facts = {"photos": photos.resolve().name, "photos_sha256": manifest_hash(files, photos), "code": code_version()}
    with new_folder(out) as partial:
        lines = ["| set | images | input PSNR (dB) | mean motion (px) |", "|---|---|---|---|"]
        for name in names:
            made = _make_set(name, dict(zip(stems, files, strict=True)), kernels, partial / name, facts)
            scores, motion = (float(np.mean([sample[key] for sample in made.values()])) for key in ("psnr", "motion"))
            lines.append(f"| {name} | {len(made)} | {scores:.2f} | {motion:.1f} |")
    return "\n".join(lines)


def load_levin(folder: Path) -> dict[str, Kernel]:
    """The levin_*.npy of ``folder`` by stem, centred and summing to 1. EvaluationError where there is none."""
    files = sorted(folder.glob("levin_*.npy"))
    if not files:
        raise EvaluationError(f"{folder} holds no levin_*.npy: give --kernels, the folder of Levin's kernels.")
    return {file.stem: centred(np.load(file)) for file in files}


def blur_with(sharp: Tensor, kernel: Kernel, rng: SampleRNG) -> np.ndarray:
    """``sharp`` (3 x H x W, sRGB in [0, 1]) after a uniform blur of its light and `NOISE`, uint8 H x W x 3."""
    light = convolve(to_linear(sharp), [kernel.values], [0, 0, 0])
    noise = rng.normal(*sharp.shape)[None]
    return to_pixels(add_noise(to_srgb(light)[None], noise, torch.tensor([NOISE]))[0])


def draws_of(name: str, number: int) -> SampleRNG:
    """The stream of one photo's sample in the set ``name``, whatever other sets are made."""
    return SampleRNG(SEED, (zlib.crc32(name.encode()) << 16) + number, Stream.BLUR_TEST)


def _names(families: Sequence[str], kernels: Path | None) -> list[str]:
    known = [*FAMILIES, LEVIN]
    if unknown := sorted(set(families) - set(known)):
        raise EvaluationError(f"There is no blur family {', '.join(unknown)}: known are {', '.join(known)}.")
    if kernels is None and (lacking := sorted({"kernels", LEVIN} & set(families))):
        raise EvaluationError(f"The family {lacking[0]} needs blur kernels: give --kernels, a folder of .npy files.")
    possible = known if kernels else [name for name in known if name not in ("kernels", LEVIN)]
    return [name for name in possible if not families or name in families]


def _make_set(
    name: str, files: dict[str, Path], kernels: Path | None, out: Path, facts: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    for folder in ("input", "target", "motion"):
        (out / folder).mkdir(parents=True)
    levin = load_levin(kernels) if name == LEVIN and kernels else {}
    config = BlurConfig(families={OTHERS: 0.0, name: 1.0}, clean=0.0, kernels=kernels) if name != LEVIN else None
    samples: dict[str, dict[str, Any]] = {}
    for number, (stem, file) in enumerate(tqdm(files.items(), desc=name, unit="image", mininterval=1.0)):
        sharp = torch.from_numpy(read_picture(file)).permute(2, 0, 1).float() / 255
        try:
            sample = _levin(sharp, number, levin) if config is None else _simulated(sharp, number, name, config)
        except (ValueError, FileNotFoundError) as error:
            raise EvaluationError(f"{file.name} cannot be blurred for the set {name}: {error}") from error
        for side, picture in (("input", sample.input), ("target", sample.target)):
            Image.fromarray(picture).save(out / side / f"{stem}.png")
        np.save(out / "motion" / f"{stem}.npy", sample.motion)
        length = float(np.hypot(*np.moveaxis(sample.motion.astype(np.float32), 2, 0)).mean())
        samples[stem] = sample.facts | {"motion": round(length, 3), "psnr": round(psnr(sample.input, sample.target), 3)}
    settings: dict[str, Any] = {"noise": NOISE} if config is None else asdict(config)
    if settings.get("kernels"):
        settings["kernels"] = settings["kernels"].name
    manifest = {"kind": "blur-test", "set": name, "seed": SEED, "stream": Stream.BLUR_TEST, **facts, "config": settings}
    if kernels and name in ("kernels", LEVIN):
        manifest["kernels_sha256"] = manifest_hash(kernels.rglob("*.npy"), kernels)
    written = sorted(path for path in out.rglob("*") if path.is_file())
    sums = {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in written}
    (out / "manifest.json").write_text(json.dumps(manifest | {"samples": samples, "files": sums}, indent=1) + "\n")
    return samples


def _simulated(sharp: Tensor, number: int, name: str, config: BlurConfig) -> Sample:
    blur = draw_blur(draws_of(name, number), config, *sharp.shape[-2:])
    shown = simulate_blur(sharp[None], [blur])
    facts = {"highlight": blur.highlight, "gamma": blur.gamma, "noise": blur.level, "quality": blur.quality}
    facts = {key: round(value, 4) for key, value in facts.items()}
    facts["defocus"] = round(float(shown["defocus"].mean()), 3)
    return Sample(to_pixels(shown["input"][0]), to_pixels(shown["target"][0]), _field(shown["motion"]), facts)


def _levin(sharp: Tensor, number: int, kernels: dict[str, Kernel]) -> Sample:
    name = list(kernels)[number % len(kernels)]
    kernel = kernels[name]
    photo = blur_with(sharp, kernel, draws_of(LEVIN, number))
    covariance = torch.tensor(kernel.covariance)[None, :, None, None].expand(1, 3, *sharp.shape[-2:])
    motion, _ = motion_and_defocus(covariance)
    return Sample(photo, to_pixels(to_8_bit(sharp)), _field(motion), {"kernel": name})


def _field(motion: Tensor) -> np.ndarray:
    """1 x 2 x H x W to H x W x 2 float16."""
    return motion[0].permute(1, 2, 0).numpy().astype(np.float16)
