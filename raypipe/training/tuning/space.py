"""What may vary from trial to trial, in Ray Tune's own words, held against the learner's names."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from raypipe.core.errors import ConfigError, MissingPartError
from raypipe.training.objectives import nearest

Learner = Any
Space = Mapping[str, Any]
_PARAMS = "params"
_PLAIN = (bool, int, float, str, type(None))


def check_space(space: Space, learner: Learner) -> tuple[dict[str, Any], dict[str, Any]]:
    """What varies and what does not, if a learner can be made of all that may be drawn.

    Args:
        space: settings by name: a field of the learner (``max_depth``) or one of its ``params``
            (``subsample``), each a domain of ``ray.tune`` (``tune.uniform(…)``, ``tune.choice(…)``)
            or a constant.
        learner: what the settings are for.

    Returns:
        The domains and the constants, by name.

    Raises:
        ConfigError: the space is empty or has no domain, a grid search is in it, choices are not
            plain values, the ends of a domain are in the wrong order, the learner refuses one of
            them, or what is evaluated would vary.
    """
    from ray.tune.search.sample import Domain

    if learner.takes.loop:
        raise ConfigError(
            "a search does not vary a loop of your own",
            type(learner).__name__,
            "Call Trainer.fit for each configuration; each is a run that Runs compares.",
            "trainer",
        )
    if not isinstance(space, Mapping) or not space:
        raise ConfigError(
            "a space names what may vary",
            space,
            'Give a mapping such as {"max_depth": ray.tune.randint(2, 10)}.',
            "space",
        )
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
    domains = {name: value for name, value in space.items() if isinstance(value, Domain)}
    constants = {name: value for name, value in space.items() if name not in domains}
    if not domains:
        raise ConfigError(
            "nothing varies in this space",
            dict(space),
            "Use ray.tune.uniform, randint, or choice([…]) for some values.",
            "space",
        )
    ends = {name: _ends(name, domain) for name, domain in domains.items()}
    middle = {name: values[0] for name, values in ends.items()}
    metrics = with_settings(learner, constants).metrics
    for name, values in ends.items():
        for value in values:
            _try(learner, {**constants, **middle, name: value}, name, metrics)
    return domains, constants


def _try(learner: Learner, settings: Mapping[str, Any], name: str, metrics: Sequence[str]) -> None:
    try:
        made = with_settings(learner, settings)
        made.check()
    except ConfigError as error:
        raise ConfigError(
            "the learner refuses a setting of this space",
            f"{name}={settings[name]!r}: {ConfigError(error.what, error.got)}",
            error.act,
            "space",
        ) from error
    if list(made.metrics) != list(metrics):
        raise ConfigError(
            "what is evaluated must be the same in all trials",
            f"{name}={settings[name]!r} evaluates {', '.join(made.metrics)}, "
            f"not {', '.join(metrics)}",
            f"Leave {name!r} out of the space, or name the metrics in the learner.",
            "space",
        )


def _ends(name: str, domain: Any) -> list[Any]:
    """Values at the ends of a domain, or all choices; first one in between."""
    choices = getattr(domain, "categories", None)
    if choices is not None:
        if not choices:
            raise ConfigError(f"{name!r} has no choices", choices, "Name some values.", "space")
        for value in choices:
            if not isinstance(value, _PLAIN):
                raise ConfigError(
                    f"the choices of {name!r} must be numbers, text, booleans or None",
                    f"{value!r}, of type {type(value).__name__}",
                    "A search is written down: give Python's own values, of an array its tolist().",
                    "space",
                )
        return list(choices)
    low, high = getattr(domain, "lower", None), getattr(domain, "upper", None)
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(
            f"the domain of {name!r} has no ends", domain, "Use uniform, randint, …", "space"
        )
    if low >= high:
        raise ConfigError(
            f"the domain of {name!r} is empty",
            f"{low} to {high}",
            "Give the lower end first; the upper end of whole numbers is left out.",
            "space",
        )
    if isinstance(low, int) and isinstance(high, int):
        return [(low + high - 1) // 2, low, max(low, high - 1)]
    near = 1e-6 * (high - low)  # an end itself is never drawn, and may be refused: subsample 0
    return [(low + high) / 2, low + near, high - near]


def distributions(domains: Mapping[str, Any]) -> dict[str, Any]:
    """The domains as Optuna has them.

    Raises:
        MissingPartError: Optuna is not installed.
        ConfigError: a domain is of a kind that a search cannot propose from.
    """
    require_optuna()
    from ray.tune.search.optuna import OptunaSearch

    try:
        made: dict[str, Any] = OptunaSearch.convert_search_space(dict(domains))
    except ValueError as error:
        raise ConfigError(
            "a domain cannot be searched",
            str(error),
            "Use uniform, loguniform, quniform, randint, lograndint, qrandint or choice.",
            "space",
        ) from None
    return made


def told_distribution(distribution: Any) -> str:
    """A domain, as Optuna has it, in words."""
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return f"one of {', '.join(map(str, choices))}"
    step, whole = distribution.step, isinstance(distribution.low, int)
    said = f"{distribution.low:.6g} to {distribution.high:.6g}"
    if whole or step:
        said += f", in steps of {step or 1:.6g}"
    return said + (", by its logarithm" if distribution.log else "")


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
        raise ConfigError(
            f"{type(learner).__name__} has no setting of this name",
            name,
            nearest(name, names),
            name,
        )
    params = {**getattr(learner, _PARAMS, {}), **others}
    return dataclasses.replace(learner, **fields, **({_PARAMS: params} if others else {}))


def require_optuna() -> Any:
    """The package.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise MissingPartError(
            "tuning needs the package optuna",
            None,
            'Install it: pip install "raypipe[tune]"',
            "search",
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
