"""The image side of semantic guidance, at tiny size."""

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.semantics.network import COLOUR_PLACE_DIM, SHAPE_DIM, TagNetwork, dense_sift
from models.semantics.pipeline import SemanticsPipeline
from models.semantics.vocabulary import vocabulary


@pytest.fixture(scope="module")
def pipeline(tiny_semantics):
    return SemanticsPipeline.from_pretrained(tiny_semantics)


def test_descriptors_do_not_mind_contrast_and_see_direction():
    stripes = torch.zeros(1, 3, 32, 32)
    stripes[..., ::8] = stripes[..., 1::8] = 0.8
    shape, beside = dense_sift(stripes)
    assert shape.shape == (1, 25, SHAPE_DIM) and beside.shape == (1, 25, COLOUR_PLACE_DIM)
    faint, _ = dense_sift(stripes * 0.5 + 0.3)
    assert (faint - shape).abs().max() < 0.05
    turned, _ = dense_sift(stripes.transpose(2, 3).contiguous())
    assert (turned - shape).abs().max() > 0.2
    across, down = beside[0, :, 3], beside[0, :, 4]
    assert across[0] == down[0] == -0.5 and across[4] == 0.5 and down[4] == -0.5


@torch.no_grad()
def test_a_codebook_is_a_mixture_that_fits_the_patches_better_than_none():
    photos = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    photos[:3] = torch.nn.functional.avg_pool2d(photos[:3], 5, 1, 2)
    networks = [TagNetwork(sizes=(32, 16), axes=4, gaussians=4) for _ in range(2)]
    for network in networks:
        network.fit_codebook(photos, seed=1)
    first, second = networks
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    assert torch.exp(first.shares).sum() == pytest.approx(1, abs=1e-5)
    given = first.responsibilities(first.patches(photos))
    assert torch.allclose(given.sum(2), torch.ones(1))
    assert given.max(2).values.mean() > 0.5  # patches belong to something
    smooth, rough = first.fisher_vector(first.patches(photos)).split(3)
    near = torch.cdist(smooth, smooth).max()
    assert near < torch.cdist(smooth, rough).min()


def test_all_tags_come_sorted_with_scores(pipeline):
    photo = np.random.default_rng(0).random((70, 90, 3), dtype=np.float32)
    found = pipeline(photo)
    assert sorted(tag.name for tag in found) == sorted(vocabulary().tags)
    scores = [tag.score for tag in found]
    assert scores == sorted(scores, reverse=True) and 0 <= scores[-1] <= scores[0] <= 1
    assert pipeline(photo) == found  # deterministic
    mirrored = {tag.name: tag.score for tag in pipeline(photo[:, ::-1])}
    assert all(mirrored[tag.name] == pytest.approx(tag.score, abs=1e-4) for tag in found)


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (31, 33)])
def test_photos_of_any_shape(pipeline, shape):
    found = pipeline(np.full((*shape, 3), 0.5, np.float32))
    assert len(found) == len(vocabulary().tags) and all(np.isfinite(tag.score) for tag in found)


def test_a_large_photo_is_seen_as_a_small_one_of_it(pipeline):
    small = np.random.default_rng(1).random((128, 128, 3)).astype(np.float32)
    large = small.repeat(16, 0).repeat(16, 1)
    assert pipeline.thin(large).shape == (128, 128, 3)
    near = {tag.name: tag.score for tag in pipeline(large)}
    assert all(near[tag.name] == pytest.approx(tag.score, abs=0.02) for tag in pipeline(small))


def test_the_work_does_not_grow_with_the_photo(pipeline):
    """Of a large photo four pixels are read for each place of a grid, and the network sees the same as ever."""
    reads = []

    class Photo(np.ndarray):
        def __getitem__(self, key):
            part = super().__getitem__(key)
            reads.append(part.size)
            return part

    for side in (2048, 4096):
        photo = np.broadcast_to(np.float32(0.5), (side, side, 3)).view(Photo)
        assert pipeline.thin(photo).shape == (128, 128, 3)
    assert max(reads) == 128 * 128 * 3 and len(reads) % 2 == 0
    seen = []
    hook = pipeline.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    for side in (96, 4096):
        pipeline(np.broadcast_to(np.float32(0.5), (side, side, 3)))
    hook.remove()
    assert seen == [(2, 3, 32, 32)] * 2


def test_what_is_no_photo_is_refused(pipeline):
    with pytest.raises(ValueError, match="H x W x 3"):
        pipeline(np.zeros((8, 8), np.float32))
    with pytest.raises(ValueError, match="not finite"):
        pipeline(np.full((8, 8, 3), np.nan, np.float32))


def test_a_folder_of_another_kind_is_refused_by_name(tiny_pipeline):
    with pytest.raises(ModelError, match="not a SemanticsPipeline"):
        SemanticsPipeline.from_pretrained(tiny_pipeline)


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="multiples of 16, the largest first"):
        TagNetwork(sizes=(64, 96))


def test_half_precision_on_disk_gives_the_same_tags(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "half")
    photo = np.random.default_rng(2).random((60, 60, 3), dtype=np.float32)
    kept = {tag.name: tag.score for tag in SemanticsPipeline.from_pretrained(tmp_path / "half")(photo)}
    assert all(kept[tag.name] == pytest.approx(tag.score, abs=0.02) for tag in pipeline(photo))
