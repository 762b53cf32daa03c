"""Gradio's Blocks with this project's queue, and with errors that are sentences for whoever called."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.data_classes import APIInfo
from gradio.exceptions import InvalidPathError
from pydantic import ValidationError

from interface.api_info import describe
from interface.fair_queue import FairQueue
from models.errors import LimpidError, is_full_disk

log = logging.getLogger(__name__)
NOT_AN_UPLOAD = "A picture must be an uploaded file or a link to one (in Python: gradio_client.handle_file)."
NO_ROOM = "The disk of this server is full, so the request cannot be served: try again later, or tell who runs it."
MAX_ERROR_LENGTH = 800
INTERNAL = "Something went wrong inside Limpid"


class LimpidBlocks(gr.Blocks):
    """Blocks whose errors are sentences; gradio hides those of its own from API clients."""

    def queue(self, *args: Any, **options: Any) -> LimpidBlocks:
        """Set up the queue; arguments as in gradio."""
        super().queue(*args, **options)
        plain = self._queue
        self._queue = FairQueue(
            live_updates=plain.live_updates,
            concurrency_count=plain.max_thread_count,
            update_intervals=plain.update_intervals,
            max_size=plain.max_size,
            blocks=self,
            default_concurrency_limit=plain.default_concurrency_limit,
        )
        return self

    def get_api_info(self, all_endpoints: bool = False, page: str | None = None) -> APIInfo:
        """Return what programs are told of the endpoints, every argument with its text."""
        info = super().get_api_info(all_endpoints, page)
        for function in self.fns.values():
            if endpoint := info["named_endpoints"].get(f"/{function.api_name}"):
                describe(endpoint, function)
        return info

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Check a request's values and hand them to the components. Raises gr.Error."""
        expected = [getattr(block, "label", None) or "a value" for block in block_fn.inputs]
        if len(inputs) != len(expected):
            raise problem(f"This call takes {len(expected)} values ({listed(expected)}), and {len(inputs)} were given.")
        try:
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        except Exception as error:
            raise problem(input_sentence(error)) from error

    async def process_api(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Answer a request. Raises gr.Error, with a sentence, whatever goes wrong."""
        try:
            return await super().process_api(*args, **options)
        except gr.Error as error:
            raise problem(str(error.message)) from error
        except Exception as error:
            raise problem(sentence(error)) from error


def problem(text: str) -> gr.Error:
    """Return an error with that text, cut where a long value was quoted; gradio shows it and does not log it."""
    if len(text) > MAX_ERROR_LENGTH:
        text = f"{text[: MAX_ERROR_LENGTH // 2]} … {text[-MAX_ERROR_LENGTH // 4 :]}"
    return gr.Error(text, print_exception=False)


def listed(names: Sequence[str]) -> str:
    """Return names with commas."""
    return ", ".join(str(name).lower() for name in names)


def input_sentence(error: Exception) -> str:
    """Say in a sentence what is wrong with a request's values."""
    if isinstance(error, gr.Error):
        return str(error.message)
    if isinstance(error, InvalidPathError):
        return NOT_AN_UPLOAD
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "value"
        return f"The request's {name} is not accepted: {first['msg']}."
    if isinstance(error, LimpidError) or is_full_disk(error):
        return sentence(error)
    log.warning("A request's values could not be read", exc_info=error)
    return (
        f"The values of this request could not be read ({type(error).__name__}): "
        "compare them with what the API page (Use via API) lists."
    )


def sentence(error: BaseException) -> str:
    """Say an error in a sentence; one that is not meant for users is logged."""
    if isinstance(error, LimpidError):
        return str(error)
    if is_full_disk(error):
        return NO_ROOM
    log.error("A request failed", exc_info=error)
    return f"{INTERNAL} ({type(error).__name__}); the photo was not changed. See the server's log for details."
