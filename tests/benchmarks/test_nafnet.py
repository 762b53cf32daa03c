"""The yardstick is the published network, not a lighter cousin."""

import torch
from torch import nn

from benchmarks.nafnet import NAFNet
from models.blocks import ChannelNorm


def test_the_published_layout_has_its_published_parameters() -> None:
    network = NAFNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 17_111_907  # the paper: 17.1 M
    assert [len(blocks) for blocks in network.encoders] == [1, 1, 1, 28]
    assert len(network.middle) == 1 and [len(blocks) for blocks in network.decoders] == [1, 1, 1, 1]


def test_any_size_goes_in_and_comes_out() -> None:
    network = NAFNet(4, (1, 1), 1, (1, 1)).eval()
    assert network.multiple == 4
    for size in ((8, 8), (5, 11), (1, 1)):
        assert network(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_it_starts_as_the_photo_plus_what_the_ending_says() -> None:
    network = NAFNet(4, (1,), 1, (1,)).eval()
    nn.init.zeros_(network.ending.weight)
    nn.init.zeros_(network.ending.bias)
    photo = torch.rand(1, 3, 6, 7)
    assert torch.equal(network(photo), photo)


def test_the_norm_is_the_published_arithmetic() -> None:
    norm = ChannelNorm(6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 6, 4, 5)
    mean = x.mean(1, keepdim=True)
    plain = (x - mean) / torch.sqrt((x - mean).pow(2).mean(1, keepdim=True) + 1e-6)
    plain = norm.weight[:, None, None] * plain + norm.bias[:, None, None]
    assert torch.allclose(norm(x), plain, atol=1e-5)
