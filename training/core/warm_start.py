"""Build the network of a stage: new from its configuration, or warm-started from a pipeline."""

from typing import Any

from diffusers import ModelMixin
from torch import nn

from models.hub import locate
from models.loading import pipeline_class, rename_options
from models.semantics.vocabulary import vocabulary
from training.core.config import PhotoConfig, RunConfig

# How a network is used, not what it is: a warm start may change it.
USE_SETTINGS = ("working_size", "flip_tta", "residual_scale", "global_affine_weight", "tile", "overlap")


def build_network(config: RunConfig, kind: Any) -> tuple[Any, dict[str, str] | None]:
    """Build the network in float32; return it and its lineage: where it came from and the revision (None if new)."""
    options = rename_options(config.model)
    if config.init_from is None:
        network = kind(**options)
        _give_tags(network, config)
        return network, None
    folder, revision = locate(config.init_from)
    network = pipeline_class(folder).from_pretrained(folder).network
    if not isinstance(network, kind):
        raise ValueError(
            f"init_from {config.init_from} holds a {type(network).__name__}: this stage trains a {kind.__name__}."
        )
    for name, value in options.items():
        if name in USE_SETTINGS and name in network.config:
            network.register_to_config(**{name: value})
            if name in vars(network):
                setattr(network, name, value)
        elif _plain(network.config[name]) != _plain(value):
            raise ValueError(
                f"model.{name} cannot differ from that of {config.init_from}; only {', '.join(USE_SETTINGS)} can."
            )
    _give_tags(network, config)
    return network.train(), {"init_from": config.init_from, "revision": revision}


def save_memory(network: nn.Module) -> None:
    """Turn on gradient checkpointing; ValueError for a network that has none."""
    if isinstance(network, ModelMixin) and not network._supports_gradient_checkpointing:
        raise ValueError(f"gradient_checkpointing is not for a {type(network).__name__}, which is small enough.")
    parts: list[Any] = [network] if isinstance(network, ModelMixin) else list(network.children())
    for part in parts:
        part.enable_gradient_checkpointing()


def _give_tags(network: Any, config: RunConfig) -> None:
    """Give the tags of the vocabulary to a network that has none, where the stage trains with guidance."""
    if not (isinstance(config.data, PhotoConfig) and config.data.guidance):
        return
    if not hasattr(network, "guide"):
        raise ValueError(f"data.guidance is not for a {type(network).__name__}, which takes no tags: leave it out.")
    if network.guide is None:
        network.add_tags(vocabulary().tags)
    if network.guide.names != vocabulary().tags:
        raise ValueError(
            f"The network has the tags {', '.join(network.guide.names)}: data.guidance trains with those of the "
            "vocabulary; start from a checkpoint that has these, or none."
        )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
