"""The verb that brings a competition's files here."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenfold.cli.app import DATA, app
from tenfold.cli.shared import Challenge

if TYPE_CHECKING:
    from tenfold.data.fetching.orders import Order
    from tenfold.data.fetching.shelf import Shelf


@app.command(rich_help_panel=DATA)
def fetch(
    challenge: Challenge,
    out: Annotated[Path, typer.Option("--out", "-o", help="folder that gets the data")],
    links: Annotated[
        Path | None,
        typer.Option(
            help="text file of links that you copied, one a line: URL, or NAME URL"
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="file with a token, for places that ask for one; or set"
            " TENFOLD_FETCH_TOKEN"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done; send nothing")
    ] = False,
) -> None:
    """Fetch a competition's files into the folders that ingest reads.

    The same command goes on after any interruption, and fetches nothing twice.

    Example: tenfold fetch kelp --out /data/kelp --links links.txt
    """
    from tenfold.challenges import FOLDER, find_challenge, load_recipe
    from tenfold.data.fetching import orders
    from tenfold.data.fetching.addresses import find_token, read_links
    from tenfold.data.fetching.listing import load_list
    from tenfold.data.fetching.shelf import Shelf

    found = find_challenge(challenge)
    listing = load_list(challenge, FOLDER / challenge)
    token, given = find_token(token_file), read_links(links) if links else ()
    wanted = orders.orders_of(listing, given, token is not None)
    shelf = Shelf(out)
    if dry_run:
        typer.echo("\n".join([listing.about, *orders.describe(wanted, shelf)]))
    todo = [order for order in wanted if shelf.kept(order.download) is None]
    orders.require_means(challenge, listing, todo, token is not None)
    orders.require_space(todo, shelf)
    if dry_run:
        return
    recipe = "baseline" if "baseline" in found.recipes() else found.recipes()[0]
    with shelf.alone():
        for order in wanted:
            _fetch(order, shelf, token)
    scan = found.reader.scan(out, load_recipe(challenge, recipe).data)
    unusable = f"; {len(scan.rejected):,} cannot be used" if scan.rejected else ""
    typer.echo(f"ingest will find {len(scan.samples):,} samples in {out}{unusable}")
    typer.echo(f"next: tenfold run {challenge} --source {out} --recipe {recipe}")


def _fetch(order: "Order", shelf: "Shelf", token: str | None) -> None:
    """Fetch one file, if it is not there, and say so."""
    from tenfold.data.fetching.fetch import fetch as fetch_file
    from tenfold.data.fetching.meter import Meter
    from tenfold.data.fetching.room import said

    name, origin = order.download.name, order.origin
    if shelf.kept(order.download) is not None:
        typer.echo(f"{name}: is there already")
    elif origin is None:
        typer.echo(f"{name}: left out, as no link is given")
    else:
        typer.echo(f"{name}: from {origin}")
        with Meter(name, sys.stderr) as meter:
            kept = fetch_file(order, shelf, token, meter.show)
        files = f", {kept.files:,} files unpacked" if order.download.unpack else ""
        typer.echo(f"{name}: {said(kept.identity.size)} fetched{files}")
