"""What may vary from trial to trial, in Ray Tune's own words, held against the learner's names."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any

from raypipe.core.errors import ConfigError

Learner = Any
Space = Mapping[str, Any]
_PARAMS = "params"


def check_space(space: Space, learner: Learner) -> dict[str, Any]:
    """The space, if a learner can be made of what is drawn from it.

    Args:
        space: settings by name: a field of the learner (``max_depth``) or one of its ``params``
            (``subsample``), each a domain of ``ray.tune`` (``tune.uniform(…)``, ``tune.choice(…)``)
            or a constant.
        learner: what the settings are for.

    Raises:
        ConfigError: the space is empty or has no domain, a grid search is in it, or the learner
            refuses what is drawn.
    """
    from ray.tune.search.sample import Domain

    if not isinstance(space, Mapping) or not space:
        raise ConfigError(
            "a space names what may vary",
            space,
            'Give a mapping such as {"max_depth": ray.tune.randint(2, 10)}.',
            "space",
        )
    domains = {name: value for name, value in space.items() if isinstance(value, Domain)}
    for name, value in space.items():
        if not isinstance(name, str):
            raise ConfigError("a setting's name is text", name, field="space")
        if isinstance(value, Mapping):
            raise ConfigError(
                f"{name!r} is neither a domain of ray.tune nor a constant",
                value,
                "Use ray.tune.choice in the place of a grid search.",
                "space",
            )
    if not domains:
        raise ConfigError(
            "nothing varies in this space", list(space), "Use ray.tune.uniform, randint, …", "space"
        )
    drawn = {
        name: value.sample() if isinstance(value, Domain) else value
        for name, value in space.items()
    }
    try:
        with_settings(learner, drawn).check()
    except ConfigError as error:
        raise ConfigError(
            "the learner refuses a setting of this space", str(error), error.act, "space"
        ) from error
    return domains


def with_settings(learner: Learner, settings: Mapping[str, Any]) -> Learner:
    """The learner with other settings: fields by their name, everything else as ``params``.

    Raises:
        ConfigError: the learner refuses one.
    """
    names = {field.name for field in dataclasses.fields(learner)} - {_PARAMS}
    fields = {name: value for name, value in settings.items() if name in names}
    others = {name: value for name, value in settings.items() if name not in names}
    if others and not hasattr(learner, _PARAMS):
        name = next(iter(others))
        near = difflib.get_close_matches(name, names, 1)
        raise ConfigError(
            f"{type(learner).__name__} has no setting of this name",
            name,
            f"Did you mean {near[0]!r}?" if near else f"It has: {sorted(names)}.",
            name,
        )
    params = {**getattr(learner, _PARAMS, {}), **others}
    return dataclasses.replace(learner, **fields, **({_PARAMS: params} if others else {}))
