import pytest
import torch
import torch.nn.functional as F
from torch import nn

from models.efficientnet_lite import BATCH_NORM_EPSILON, EfficientNetLite, fold_batch_norm


def published(network: EfficientNetLite) -> dict[str, torch.Tensor]:
    """Random weights under the published names and shapes, for a network of this width."""
    made: dict[str, torch.Tensor] = {}

    def convolution(name: str, norm: str, like: nn.Conv2d, inputs: int | None = None) -> None:
        shape = list(like.weight.shape)
        shape[1] = inputs or shape[1]
        made[f"{name}.weight"] = torch.randn(shape) * 0.2
        made[f"{norm}.weight"], made[f"{norm}.bias"] = torch.rand(shape[0]) + 0.5, torch.randn(shape[0]) * 0.1
        made[f"{norm}.running_mean"], made[f"{norm}.running_var"] = torch.randn(shape[0]) * 0.1, torch.rand(shape[0])

    convolution("_conv_stem", "_bn0", network.stem, 3)
    for place, block in enumerate(network.blocks):
        at = f"_blocks.{place}."
        if block.expand is not None:
            convolution(at + "_expand_conv", at + "_bn0", block.expand)
        convolution(at + "_depthwise_conv", at + "_bn1", block.depthwise)
        convolution(at + "_project_conv", at + "_bn2", block.project)
    return made


def test_the_published_layout():
    network = EfficientNetLite()
    assert network.channels == (16, 24, 40, 112, 320) and len(network.blocks) == 16
    assert sum(p.numel() for p in network.parameters()) == 2_939_120
    sizes = [level.shape for level in EfficientNetLite(0.1).eval()(torch.rand(2, 3, 64, 96))]
    assert [tuple(size[-2:]) for size in sizes] == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]


def test_a_folded_batch_norm_gives_what_convolution_and_norm_give():
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5, eps=BATCH_NORM_EPSILON).eval()
    nn.init.normal_(norm.weight)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.1, 2)
    weights = {f"c.{k}": v for k, v in convolution.state_dict().items()}
    weights |= {f"n.{k}": v for k, v in norm.state_dict().items()}
    folded = fold_batch_norm(weights, "c", "n")
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(F.conv2d(x, **folded), norm(convolution(x)), atol=1e-5, rtol=1e-4)


def test_published_weights_are_loaded_and_what_is_beside_colour_is_not_read_at_first():
    torch.manual_seed(0)
    plain, hinted = EfficientNetLite(0.1), EfficientNetLite(0.1, extra_channels=1)
    weights = published(plain)
    plain.load_published(weights)
    hinted.load_published(weights)
    picture = torch.rand(1, 3, 64, 64)
    expected = plain(picture)
    for hint in (torch.zeros(1, 1, 64, 64), torch.ones(1, 1, 64, 64)):
        for level, other in zip(expected, hinted(torch.cat([picture, hint], 1)), strict=True):
            assert torch.equal(level, other)
    assert expected[-1].std() > 0
    with pytest.raises(KeyError, match="_conv_stem.weight"):
        plain.load_published({name: value for name, value in weights.items() if "stem" not in name})


def test_padding_at_stride_two_is_tensorflows():
    """For even sides all of it lies after the picture, at a kernel of 3."""
    network = EfficientNetLite(0.1)
    picture = torch.zeros(1, 3, 8, 8)
    x = F.pad(network.normalise(picture), (0, 1, 0, 1))
    expected = F.relu6(F.conv2d(x, network.stem.weight, network.stem.bias, 2))
    seen = []
    network.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(picture.expand(1, 3, 8, 8))
    assert torch.equal(seen[0], expected)
