from __future__ import annotations

from datetime import date
from typing import Literal

import pytest
from pydantic import BaseModel, Field, field_validator

from plugins.options import HostOptions
from plugins.schema import FieldSpec, FormError, fields, validate


class Params(BaseModel):
    on: bool = True
    steps: int = Field(4, gt=0, lt=10, description="How many.")
    detail: float = Field(0.5, ge=0, le=1, title="Detail dial")
    words: str = "sky"
    size: Literal["small", "large"] = "small"

    @field_validator("words")
    @classmethod
    def no_shouting(cls, value: str) -> str:
        if value.isupper():
            raise ValueError("do not shout")
        return value


def test_fields_follow_the_class():
    assert fields(Params) == [
        FieldSpec("on", "bool", True, label="On"),
        FieldSpec("steps", "int", 4, minimum=1, maximum=9, help="How many.", label="Steps"),
        FieldSpec("detail", "float", 0.5, minimum=0, maximum=1, label="Detail dial"),
        FieldSpec("words", "str", "sky", label="Words"),
        FieldSpec("size", "choice", "small", choices=("small", "large"), label="Size"),
    ]


def test_host_options_are_fields_in_the_order_of_the_api():
    specs = fields(HostOptions)
    assert [spec.name for spec in specs] == [
        "strength", "model", "seed", "mask", "format", "keep_metadata", "guidance", "guidance_text",
    ]  # fmt: skip
    assert [spec.kind for spec in specs] == ["float", "str", "int", "path", "choice", "choice", "choice", "str"]
    assert all(spec.help for spec in specs)


def test_unsupported_types_and_missing_defaults_are_named():
    class Dated(BaseModel):
        day: date = date(2026, 1, 1)

    class Required(BaseModel):
        needed: int

    with pytest.raises(FormError, match="'day' has the type .*date.*: use bool, int, float, str or Literal"):
        fields(Dated)
    with pytest.raises(FormError, match="'needed' needs a default"):
        fields(Required)


def test_values_from_a_command_line_are_read():
    assert validate(Params, {"on": "false", "steps": "3", "detail": "0.25"}) == Params(on=False, steps=3, detail=0.25)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"detail": 1.5}, r"detail must be at most 1.0 \(given: 1.5\)\."),
        ({"detail": -0.1}, r"detail must be at least 0"),
        ({"detail": float("nan")}, r"detail must be at"),
        ({"steps": 10}, "steps must be below 10"),
        ({"steps": 0}, "steps must be above 0"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"steps": None}, "steps must be a whole number"),
        ({"detail": "much"}, "detail must be a number"),
        ({"on": "perhaps"}, "on must be true or false"),
        ({"words": 3}, "words must be text"),
        ({"words": "LOUD"}, r"words is not accepted: do not shout \(given: 'LOUD'\)"),
        ({"size": "huge"}, "size must be one of 'small' or 'large'"),
        ({"colour": 1}, r"Unknown parameter 'colour' \(known: on, steps, detail, words, size\)\."),
        ({"steps": 0, "detail": 2}, "steps must be above 0 .*; detail must be at most 1"),
    ],
)
def test_a_wrong_value_is_one_sentence(values, sentence):
    with pytest.raises(FormError, match=sentence) as caught:
        validate(Params, values)
    assert "\n" not in str(caught.value)


def test_what_is_left_empty_takes_the_hosts_default():
    assert HostOptions.of({"model": "", "mask": None, "seed": 3}) == HostOptions(seed=3)
    with pytest.raises(FormError, match="strength must be at most 1"):
        HostOptions.of({"strength": 1.01})
