"""Which file is fetched from where: the list and the user's links together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tenfold.data.fetching.addresses import TOKEN_VARIABLE, Link, is_signed, shown
from tenfold.data.fetching.listing import Download, DownloadList
from tenfold.data.fetching.partial import Partial
from tenfold.data.fetching.room import free, require_room, said
from tenfold.data.fetching.shelf import Shelf
from tenfold.errors import SourceError


@dataclass(frozen=True)
class Order:
    """One file and where it is from.

    Attributes:
        url: its address; none if it is Kaggle's, or a link that the user lacks.
        takes_token: whether the user's token goes to that address.
    """

    download: Download
    url: str | None = field(default=None, repr=False)
    takes_token: bool = False

    @property
    def origin(self) -> str | None:
        """Where it is from, for people; none if nobody has said."""
        if self.url is not None:
            return f"{shown(self.url)}{' with your token' if self.takes_token else ''}"
        return self.download.kaggle.page if self.download.kaggle else None


def orders_of(
    listing: DownloadList, links: Sequence[Link], token: bool
) -> tuple[Order, ...]:
    """Return an order for each listed file; a link counts for more than the list.

    Args:
        listing: of the challenge.
        links: of the user.
        token: whether the user has one.

    Raises:
        SourceError: a link is for no listed file, or two are for one.
    """
    given: dict[str, Link] = {}
    for link in links:
        names = [
            file.name
            for file in listing.files
            if link.name == file.name or (not link.given and file.is_called(link.name))
        ]
        known = ", ".join(file.name for file in listing.files)
        if len(names) != 1:
            raise SourceError(
                f"{link.where}: {link.name!r} is none of the files that are wanted"
                f" ({known}); leave the line out, or write one of these names before"
                " the address"
            )
        if names[0] in given:
            earlier = given[names[0]].where
            raise SourceError(f"{link.where}: {earlier} is for {names[0]} too")
        given[names[0]] = link
    return tuple(_order(file, given.get(file.name), token) for file in listing.files)


def _order(download: Download, link: Link | None, token: bool) -> Order:
    if link is not None:
        return Order(download, link.url, token and not is_signed(link.url))
    return Order(download, download.url, download.token)


def require_means(
    challenge: str, listing: DownloadList, orders: Iterable[Order], token: bool
) -> None:
    """Refuse to begin while it is unknown where a file is from, or a token is lacking.

    Raises:
        SourceError: naming the files and what to do.
    """
    orders = list(orders)
    lacking = [o.download.name for o in orders if not (o.origin or o.download.optional)]
    if lacking:
        raise SourceError(
            f"{challenge}: no link for {', '.join(lacking)}; log in at {listing.page},"
            " copy the address of each file into a text file, one a line, and give"
            " that as --links FILE (docs/fetch.md)"
        )
    closed = [order.origin for order in orders if order.takes_token and not token]
    if closed:
        raise SourceError(
            f"{closed[0]}: it asks for one; set {TOKEN_VARIABLE} or give --token-file"
        )


def require_space(orders: Sequence[Order], shelf: Shelf) -> None:
    """Refuse to begin what the disk cannot hold, as far as sizes are known.

    What an archive unpacks to is at least as large, and the archive itself lies beside
    it until that is done.

    Raises:
        SourceError: saying how much is needed.
    """
    require_room(needed(orders, shelf), shelf.folder, "the fetch")


def needed(orders: Sequence[Order], shelf: Shelf) -> int:
    """Return the bytes that the disk must have, at least."""
    sizes = [order.download.size or 0 for order in orders]
    archives = [order.download.size or 0 for order in orders if order.download.unpack]
    here = sum(arrived(order, shelf) for order in orders)
    return max(sum(sizes) + max(archives, default=0) - here, 0)


def arrived(order: Order, shelf: Shelf) -> int:
    """Return the bytes of a file that an earlier fetch left."""
    return Partial(shelf.desk(order.download) / order.download.name).size


def describe(orders: Sequence[Order], shelf: Shelf) -> list[str]:
    """Say of each file what would be done, and whether the disk has room."""
    lines, todo = [], []
    for order in orders:
        if shelf.kept(order.download) is not None:
            what = "is there already"
        elif order.origin is not None:
            todo.append(order)
            what = _what(order, arrived(order, shelf))
        elif order.download.optional:
            what = "left out, as no link is given"
        else:
            what = "needs a link: --links FILE"
        into = "unpacked into" if order.download.unpack else "to"
        place = Path(shelf.folder, order.download.target)
        lines += [f"{order.download.name}: {what}", f"  {into} {place}"]
    unknown = sum(order.download.size is None for order in todo)
    more = f", and {unknown} files of unknown size" if unknown else ""
    lines.append(
        f"free on the disk: {said(free(shelf.folder))}; needed: at least"
        f" {said(needed(todo, shelf))}{more}"
    )
    return lines


def _what(order: Order, here: int) -> str:
    size = order.download.size
    sentence = f"{said(size) if size is not None else 'size unknown'}, {order.origin}"
    return f"{sentence}; {said(here)} are here" if here else sentence
