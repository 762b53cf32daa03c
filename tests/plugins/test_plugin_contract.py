from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from plugins.contract import (
    Cancelled,
    Cost,
    Guidance,
    Plugin,
    PluginError,
    Progress,
    Tag,
    as_cost,
    as_guidance,
    as_result,
)
from plugins.dereflection.plugin import Dereflection


def test_the_built_in_plugin_matches_the_protocol():
    assert isinstance(Dereflection(), Plugin)


def test_progress_parts_map_onto_the_whole_and_stop_when_cancelled():
    told, stop = [], threading.Event()
    progress = Progress(lambda fraction, message: told.append((round(fraction, 3), message)), stop)
    second = progress.part(0.5, 1.0)
    second.update(0.5, "a")
    second.part(0.0, 0.5).update(1.0, "b")
    second.silent().update(0.9, "unheard")
    second.update(7, "c")
    assert told == [(0.75, "a"), (0.75, "b"), (1.0, "c")]
    stop.set()
    for one in (progress, second, second.silent()):
        with pytest.raises(Cancelled):
            one.check()
    with pytest.raises(Cancelled):
        progress.update(0.1)


def test_what_plugins_return_is_taken_by_structure():
    image = np.zeros((2, 3, 3), np.float32)
    assert as_result(image).image is image
    assert as_result({"image": image, "info": {"plan": 1}}).info == {"plan": 1}
    assert as_result(SimpleNamespace(image=image, layers={"a": image})).layers["a"] is image
    assert as_cost({"seconds": 1, "memory_mb": "2"}) == Cost(1.0, 2.0, 1)
    told = as_guidance({"caption": "x", "tags": ["cat", {"name": "dog", "score": 0.5}]})
    assert told == Guidance("x", [Tag("cat", 1.0), Tag("dog", 0.5)])
    assert as_guidance(told.as_dict()) == told


def test_what_cannot_be_taken_is_an_error():
    with pytest.raises(PluginError, match="must return a picture"):
        as_result("done")
    with pytest.raises(PluginError, match="numbers named seconds"):
        as_cost(SimpleNamespace(seconds="soon"))
    with pytest.raises(PluginError, match="each with a name and a score"):
        as_guidance({"tags": [{"name": "cat", "score": "much"}]})
