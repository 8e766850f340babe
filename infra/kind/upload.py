"""Makes a folder of the object store hold exactly what a local folder holds."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli import run_app
from tenfold.data.files import files_below
from tenfold.data.storage import open_storage
from tenfold.errors import SourceError

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_THREADS = 8


@app.command()
def upload(
    folder: Annotated[Path, typer.Argument(help="what to upload")],
    uri: Annotated[str, typer.Argument(help="where to, e.g. s3://bucket/prefix")],
) -> None:
    """Upload a folder, and remove what else lies there.

    Leftovers of an earlier set would be read as part of this one.
    """
    names = list(files_below(folder))
    if not names:
        raise SourceError(f"no files in {folder}")
    place = open_storage(uri)
    for name in set(place.names()) - set(names):
        place.delete(name)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(lambda name: place.upload(folder / name, name), names))
    typer.echo(f"{len(names)} files in {uri}")


if __name__ == "__main__":
    run_app(app, None)
