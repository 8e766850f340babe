"""Verbs about recipes."""

from typing import Annotated

import typer

from tenfold.cli.app import family
from tenfold.cli.shared import Challenge, Overrides

recipes = family("recipes", "List, show and check recipes.")


@recipes.command("list")
def recipes_list() -> None:
    """List the recipes of every challenge.

    Example: tenfold recipes list
    """
    from tenfold.challenges import challenge_names, find_challenge, load_recipe

    for name in challenge_names():
        for preset in find_challenge(name).recipes():
            recipe = load_recipe(name, preset)
            typer.echo(f"{name:10s} {preset:13s} {recipe.about}")
            typer.echo(f"{'':24s} {recipe.lands_near}")


@recipes.command("show")
def recipes_show(
    challenge: Challenge,
    recipe: Annotated[str, typer.Argument(help="preset, or path of a YAML file")],
    overrides: Overrides = None,
) -> None:
    """Print a recipe whole, defaults and overrides filled in, as YAML.

    Example: tenfold recipes show kelp winning --set split.k=5
    """
    import yaml

    from tenfold.challenges import load_recipe

    loaded = load_recipe(challenge, recipe, overrides or ())
    dump = loaded.model_dump(mode="json")
    typer.echo(yaml.safe_dump(dump, sort_keys=False, allow_unicode=True))


@recipes.command("check")
def recipes_check(
    challenge: Challenge,
    recipe: Annotated[str, typer.Argument(help="preset, or path of a YAML file")],
    overrides: Overrides = None,
) -> None:
    """Validate a recipe and print its digest.

    Example: tenfold recipes check kelp my-recipe.yaml
    """
    from tenfold.challenges import load_recipe

    loaded = load_recipe(challenge, recipe, overrides or ())
    typer.echo(f"{challenge}/{loaded.name} is valid; digest {loaded.digest()[:16]}")
