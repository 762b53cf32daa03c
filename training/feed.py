"""The batches of a run, in order: made as they are asked for, or ahead of that by processes of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

Request = tuple[list[int], int]  # the samples of a batch, and their side in pixels


class _Prepared(Dataset[Any]):
    """What a source prepares of each request; the requests themselves are the keys."""

    def __init__(self, source: Any) -> None:
        self.source = source

    def __getitem__(self, request: Request) -> tuple[Request, Any]:
        return request, self.source.prepare(*request)


def feed(source: Any, requests: Iterable[Request], workers: int, device: torch.device) -> Iterator[Any]:
    """The batches of ``requests`` from a source with ``prepare`` and ``finish`` (`training.data.sources.Sources`), on
    ``device``. ``workers``: processes that prepare them ahead (0: none). A sample depends on its index alone, so the
    batches are the same whatever their number. ValueError where a source makes none ahead."""
    if not workers:
        for indices, size in requests:
            yield source.batch(indices, size, device)
        return
    if not hasattr(source, "prepare"):
        raise ValueError(f"workers is not for {type(source).__name__}, which keeps its samples: set it to 0.")
    loader = DataLoader(
        _Prepared(source),
        batch_size=None,
        sampler=requests,
        num_workers=workers,
        prefetch_factor=4,
    )
    for (indices, _), prepared in loader:
        yield source.finish(prepared, indices, device)
