"""``raypipe models``, ``promote`` and ``rollback``: the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.cli import output

if TYPE_CHECKING:
    import argparse

    from raypipe.registry import Registry


def add(commands: Any) -> None:
    """Adds the commands."""
    listing = commands.add_parser("models", help="list the registered models")
    listing.set_defaults(run=_models)
    promote = commands.add_parser("promote", help="make a version the champion")
    promote.add_argument("model", metavar="MODEL")
    promote.add_argument("version", metavar="VERSION", type=int)
    promote.set_defaults(run=_promote)
    rollback = commands.add_parser("rollback", help="make the champion of before the champion")
    rollback.add_argument("model", metavar="MODEL")
    rollback.set_defaults(run=_rollback)
    for parser in (listing, promote, rollback):
        output.add_lake(parser)
        output.add_json(parser)


def rows(lake_uri: str) -> list[dict[str, Any]]:
    """Name, versions and champion of each model."""
    registry = _registry(lake_uri)
    found = []
    for name in registry.models():
        champion = registry.champion(name)
        found.append(
            {
                "name": name,
                "versions": [version.version for version in registry.versions(name)],
                "champion": champion.version if champion else None,
            }
        )
    return found


def _registry(lake_uri: str) -> Registry:
    from raypipe.registry import Registry

    return Registry(output.open_lake(lake_uri))


def _models(args: argparse.Namespace) -> int:
    found = rows(args.lake)
    if args.json:
        output.print_json(found)
    else:
        shown = [{**row, "versions": len(row["versions"])} for row in found]
        output.print_rows(shown, ["name", "versions", "champion"])
    return output.OK


def _promote(args: argparse.Namespace) -> int:
    version = _registry(args.lake).version(args.model, args.version)
    version.promote()
    return _say(args, version.version)


def _rollback(args: argparse.Namespace) -> int:
    return _say(args, _registry(args.lake).rollback(args.model).version)


def _say(args: argparse.Namespace, champion: int) -> int:
    if args.json:
        output.print_json({"name": args.model, "champion": champion})
    else:
        print(f"{args.model}: version {champion} is the champion")
    return output.OK
