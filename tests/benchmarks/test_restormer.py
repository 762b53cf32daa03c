"""The yardstick is the published network, not a lighter cousin."""

import torch
from torch import nn

from benchmarks.restormer import Attention, Restormer


def test_the_published_layout_has_its_published_parameters() -> None:
    with torch.device("meta"):
        network = Restormer()
    assert sum(parameter.numel() for parameter in network.parameters()) == 26_126_644  # the paper: 26.1 M


def test_any_size_goes_in_and_comes_out_and_an_empty_change_is_the_photo() -> None:
    network = Restormer(8, (1, 1, 1), 1, (1, 2, 4)).eval()
    assert network.multiple == 4
    for size in ((8, 8), (5, 11), (20, 4)):
        assert network(torch.rand(2, 3, *size)).shape == (2, 3, *size)
    nn.init.zeros_(network.output.weight)
    photo = torch.rand(1, 3, 6, 7)
    assert torch.equal(network(photo), photo)


def test_attention_is_between_the_channels_of_each_head() -> None:
    attention, x = Attention(6, 2), torch.randn(1, 6, 4, 5)
    nn.init.constant_(attention.temperature, 0.7)
    q, k, v = attention.depthwise(attention.qkv(x)).chunk(3, dim=1)
    heads = []
    for n in range(2):
        one, two, three = (part[0, 3 * n : 3 * n + 3].reshape(3, 20) for part in (q, k, v))
        scores = (one / one.norm(dim=1, keepdim=True)) @ (two / two.norm(dim=1, keepdim=True)).T * 0.7
        heads.append(scores.softmax(1) @ three)
    expected = attention.project(torch.cat(heads).reshape(1, 6, 4, 5))
    torch.testing.assert_close(attention(x), expected, atol=1e-5, rtol=1e-5)
