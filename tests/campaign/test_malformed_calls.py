"""Malformed calls of every endpoint, made from the app's own description: all are answered in words."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.campaign.conftest import LONG, call, is_a_sentence, upload
from tests.campaign.serving import Served
from tests.interface.files import scene

CALLS = 500 if LONG else 40
WORDS = st.one_of(
    st.text(max_size=40), st.sampled_from(["", "default", "png", "x" * 5000, "../../etc/passwd", "\0", "NaN"])
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), WORDS)
PATHS = st.fixed_dictionaries({"path": WORDS}, optional={"meta": st.just({"_type": "gradio.FileData"}), "url": WORDS})
VALUES = st.recursive(
    st.one_of(SCALARS, PATHS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.slow
def test_every_call_succeeds_or_is_refused_in_a_sentence(app: Served) -> None:
    out = io.BytesIO()
    Image.fromarray(scene()).save(out, "PNG")
    photo = upload(app.url, "photo.png", out.getvalue())
    described = httpx.get(f"{app.url}gradio_api/info", timeout=60).json()["named_endpoints"]
    arguments = {name[1:]: [one["parameter_name"] for one in info["parameters"]] for name, info in described.items()}
    counts = {"refused": 0, "succeeded": 0}

    @settings(
        max_examples=CALLS, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data())
    def attack(data: st.DataObject) -> None:
        endpoint = data.draw(st.sampled_from(sorted(arguments)))
        if data.draw(st.booleans()):
            names = st.one_of(st.sampled_from(arguments[endpoint] or ["image"]), WORDS)
            values: Any = data.draw(st.dictionaries(names, VALUES, max_size=4))
            if data.draw(st.booleans()):
                values["image"] = photo
            how = "v2"
        else:
            values, how = {"data": data.draw(st.lists(VALUES, max_size=13))}, "v1"
            if data.draw(st.booleans()):
                values["session_hash"] = data.draw(WORDS)
        status, succeeded, told = call(app.url, endpoint, values, how)
        assert status < 500 and (succeeded or is_a_sentence(told)), (endpoint, values, status, told)
        counts["succeeded" if succeeded else "refused"] += 1

    attack()
    assert app.process.poll() is None and httpx.get(f"{app.url}health").status_code == 200
    assert counts["refused"] > CALLS // 2
    print(f"{CALLS} calls: {counts}")
