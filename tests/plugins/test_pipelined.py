"""What the built-in restorers share, on each of them."""

import numpy as np
import pytest

from plugins.contract import Cancelled, Picture, Progress, RunContext, Size
from plugins.deblur.plugin import Deblurring
from plugins.dereflection.plugin import Dereflection
from tests.plugins.fakes import FakePipeline


@pytest.fixture(params=[Deblurring, Dereflection])
def plugin(request):
    plugin = request.param()
    plugin._pipeline = FakePipeline()
    return plugin


def test_it_stops_between_tiles_when_cancelled(plugin):
    with pytest.raises(Cancelled):
        context = RunContext(progress=Progress(None, lambda: True))
        plugin.run(Picture(np.zeros((8, 9, 3), np.float32)), plugin.Params(), context)


def test_the_cost_is_the_pipelines(plugin):
    cost = plugin.cost(Size(2000, 1000), plugin.Params())
    assert (cost.seconds, cost.memory_mb, cost.tiles) == (2.0, 100.0, 4)
