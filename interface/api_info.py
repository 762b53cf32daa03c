"""What programs are told of the endpoints: /gradio_api/info, the API page, its snippets, clients and OpenAPI."""

from __future__ import annotations

from typing import Any

from gradio.block_function import BlockFunction
from gradio.data_classes import APIEndpointInfo
from gradio.utils import get_function_description
from gradio_client.utils import value_is_file

OPTIONAL_FILE = "Picture"
"""Name of the component of a file that may be left out: gradio's snippets fill in a file for one called Image."""


def describe(endpoint: APIEndpointInfo, function: BlockFunction) -> None:
    """Add the texts of the function's docstring to the arguments of an endpoint, in place.

    An argument with a default has it for its example, too: gradio's own would make a call that does something else,
    and has a file for each optional file.
    """
    assert function.fn is not None
    _, texts, _ = get_function_description(function.fn)
    for one in endpoint["parameters"]:
        parameter: dict[str, Any] = one
        schema = dict(parameter["type"])
        if text := texts.get(parameter["parameter_name"]):
            schema["description"] = text
            parameter["python_type"] = {**parameter["python_type"], "description": text}
        schema.pop("additional_description", None)  # gradio's own, of any file
        if parameter["parameter_has_default"]:
            parameter["example_input"] = parameter["parameter_default"]
            if value_is_file(schema):
                parameter["component"] = OPTIONAL_FILE
        parameter["type"] = schema
