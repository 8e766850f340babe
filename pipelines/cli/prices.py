"""The verb that fetches prices."""

from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.app import family

prices = family("prices", "What machines cost.")


@prices.command("fetch")
def prices_fetch(
    region: Annotated[str, typer.Option(help="of Vertex AI, e.g. europe-west4")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="file that gets the table")
    ] = Path("prices.yaml"),
    currency: Annotated[str, typer.Option(help="three letters")] = "USD",
) -> None:
    """Fetch list prices of a region's training machines, for the plan's estimate.

    An API key is taken from TENFOLD_BILLING_KEY, or else your login is used.

    Example: tenfold prices fetch --region europe-west4 --out prices.yaml
    """
    from pipelines.prices import fetch_prices, write_prices

    write_prices(fetch_prices(region, currency), out)
    typer.echo(str(out))
