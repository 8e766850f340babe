"""Price tables: what a user pays, written by hand or fetched from Google's catalogue.

No price is in this repository. The Cloud Billing Catalog API describes a SKU in words
only, so what a fetched price was added up from is written beside it, and a price whose
parts are not each one SKU is left out. docs/prices.md gives the rules.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import Field, model_validator

from pipelines.machines import MACHINES, REGIONS, Machine
from tenfold.data.files import atomic_path
from tenfold.errors import TenfoldError
from tenfold.recipe import Json, Section, validate

CATALOGUE = "https://cloudbilling.googleapis.com"
#: An API key for the catalogue; without one, application default credentials.
KEY_VARIABLE = "TENFOLD_BILLING_KEY"
DISK = "pd-ssd"

#: What a login of gcloud's has; it refuses a scope that it was not made for.
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
#: Services of the catalogue.
_VERTEX, _COMPUTE = "C7E2-9256-1C43", "6F81-5844-456A"
_SECONDS = 30
#: What the catalogue's own monthly prices are for.
_HOURS_A_MONTH = 730


class PricesError(TenfoldError):
    """Prices cannot be read or fetched."""


class Price(Section):
    """What an hour of something costs."""

    machine: str | None = Field(
        None, description="machine type; with its GPUs, where they are fixed (not n1)"
    )
    gpu: str | None = Field(None, description="one accelerator of an n1 machine")
    disk: str | None = Field(None, description="one GB of a boot disk")
    on_demand: float | None = Field(None, ge=0)
    spot: float | None = Field(None, ge=0)
    skus: tuple[str, ...] = Field((), description="ids that a fetched price adds up")

    @model_validator(mode="after")
    def _of_one_thing(self) -> "Price":
        if sum(name is not None for name in (self.machine, self.gpu, self.disk)) != 1:
            raise ValueError("an item names one of machine, gpu, disk")
        return self

    @property
    def name(self) -> str:
        """Return what it is the price of."""
        return self.machine or self.gpu or str(self.disk)


class Prices(Section):
    """A table of prices of one region on one day."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    date: date
    source: str
    region: str
    items: tuple[Price, ...]
    skus: dict[str, str] = Field({}, description="id → what the catalogue calls it")

    @model_validator(mode="after")
    def _distinct(self) -> "Prices":
        names = [item.name for item in self.items]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two prices of {', '.join(twice)}")
        return self

    def hour(
        self, machine: Machine, disk_gb: int, spot: bool
    ) -> tuple[float, tuple[str, ...]]:
        """Return what an hour of a machine costs.

        Returns:
            The price, of the parts that have one, and the names of those that have not.
        """
        parts = [(machine.name, 1, spot), (DISK, disk_gb, False)]
        if not machine.bundled:
            parts.append((machine.gpu, machine.gpus, spot))
        table = {item.name: item for item in self.items}
        total, missing = 0.0, []
        for name, count, as_spot in parts:
            item = table.get(name, Price(machine=name))
            price = item.spot if as_spot else item.on_demand
            if price is None:
                missing.append(f"{name} {'spot' if as_spot else 'on demand'}")
            else:
                total += count * price
        return total, tuple(missing)


def read_prices(path: Path) -> Prices:
    """Read a price table.

    Raises:
        TenfoldError: naming each bad key or value.
    """
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise PricesError(f"cannot read prices from {path}: {error}") from None
    if not isinstance(raw, dict):
        raise PricesError(f"{path} is no price table; docs/prices.md shows one")
    return validate(Prices, raw, str(path))


def write_prices(prices: Prices, path: Path) -> None:
    """Write a price table as YAML."""
    dump = prices.model_dump(mode="json", exclude_defaults=True)
    text = yaml.safe_dump(dump, sort_keys=False, width=88, default_flow_style=None)
    with atomic_path(path) as temporary:
        temporary.write_text(text, "utf-8")


def fetch_prices(region: str, currency: str = "USD") -> Prices:
    """Add up the public prices of a region's training machines.

    Args:
        region: of Vertex AI.
        currency: three letters.

    Raises:
        PricesError: the catalogue cannot be read, or prices nothing there.
    """
    gpus = REGIONS.get(region, ())
    if not gpus:
        known = ", ".join(name for name, gpus in REGIONS.items() if gpus)
        raise PricesError(f"{region} has no accelerator for training; {known} have")
    session = _session()
    skus = _Skus()
    for service in (_VERTEX, _COMPUTE):
        for raw in _listed(session, f"{CATALOGUE}/v1/services/{service}", currency):
            if region in raw.get("serviceRegions", ()):
                skus.add(raw)
    items = [item for item in _items(skus, gpus) if item.skus]
    if not items:
        raise PricesError(
            f"the catalogue has no training price of {region} that can be told by its"
            " description; write the table by hand, as docs/prices.md shows"
        )
    return Prices(
        currency=currency,
        date=datetime.now(UTC).date(),
        source="Cloud Billing Catalog API, list prices",
        region=region,
        items=tuple(items),
        skus={sku: skus.names[sku] for item in items for sku in item.skus},
    )


class _Part(NamedTuple):
    """What a SKU prices: how it is sold, and what of which series."""

    sold: str
    series: str
    what: str


_FEE = "management fee"
#: How descriptions begin and end. What is sold on demand holds the fee already; a spot
#: machine is Compute Engine's, and the fee comes on top.
_SOLD = {
    "on demand": r"vertex ai: training/pipelines on (.+?)(?: running)? in .+",
    _FEE: r"vertex ai: training/pipelines management fee on (.+?)(?: running)? in .+",
    "spot": r"spot preemptible (.+?) running in .+",
    "spot gpu": r"(.+? gpu) attached to spot preemptible vms running in .+",
    "disk": r"vertex ai: training/pipelines on (ssd backed pd) capacity(?: in .+)?",
}
_INSTANCE = re.compile(r"(n1|g2|a2|a3)(?: predefined)? instance (core|ram)")
_GPU = {
    "NVIDIA_TESLA_T4": r"nvidia (?:tesla )?t4",
    "NVIDIA_L4": r"nvidia l4",
    "NVIDIA_TESLA_A100": r"nvidia (?:tesla )?a100(?: 40gb)?",
    "NVIDIA_A100_80GB": r"nvidia (?:tesla )?a100 80gb",
    "NVIDIA_H100_80GB": r"nvidia h100 80gb",
}
_DISK = _Part("on demand", "", "disk")
_MONTHLY = {"GiBy.mo": 1 / _HOURS_A_MONTH, "GBy.mo": 1 / _HOURS_A_MONTH}
#: What is priced → unit of the SKU → hours' worth of it.
_UNITS: dict[str, dict[str, float]] = {
    "core": {"h": 1},
    "ram": {"GiBy.h": 1, "GBy.h": 1},
    "gpu": {"h": 1},
    "disk": _MONTHLY,
}


class _Skus:
    """The SKUs of a region whose descriptions say what they are the price of."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self._found: dict[_Part, list[tuple[str, float]]] = {}

    def add(self, raw: Json) -> None:
        """Take a SKU of the catalogue, if it is one of ours."""
        part = _part(str(raw.get("description")))
        price = _price(raw, part) if part else None
        if part is not None and price is not None:
            self.names[raw["skuId"]] = raw["description"]
            self._found.setdefault(part, []).append((raw["skuId"], price))

    def total(self, counts: Mapping[_Part, float]) -> tuple[float | None, list[str]]:
        """Return a sum and its SKUs; none if a part is not exactly one SKU."""
        total, used = 0.0, []
        for part, count in counts.items():
            found = self._found.get(part, [])
            if len(found) != 1:
                return None, []
            total += found[0][1] * count
            used.append(found[0][0])
        return round(total, 6), used


def _part(description: str) -> _Part | None:
    """Tell from its description what a SKU prices."""
    for sold, pattern in _SOLD.items():
        match = re.fullmatch(pattern, description, re.IGNORECASE)
        if match is None:
            continue
        if sold == "disk":
            return _DISK
        what = match[1].lower()
        instance = _INSTANCE.fullmatch(what)
        if instance:
            return _Part(sold, instance[1], instance[2])
        for gpu, name in _GPU.items():
            if re.fullmatch(rf"{name}(?: gpu)?", what):
                return _Part(sold.removesuffix(" gpu"), gpu, "gpu")
    return None


def _price(raw: Json, part: _Part) -> float | None:
    """Return the price of an hour, if the SKU has one that does not depend on use."""
    try:
        (pricing,) = raw["pricingInfo"]
        expression = pricing["pricingExpression"]
        (rate,) = expression["tieredRates"]
        money = rate["unitPrice"]
        price = int(money.get("units", 0)) + int(money.get("nanos", 0)) / 1e9
        return price * _UNITS[part.what][expression["usageUnit"]]
    except (KeyError, TypeError, ValueError):
        return None


def _items(skus: _Skus, gpus: Sequence[str]) -> Iterator[Price]:
    """Yield prices of the machines that have some accelerators."""
    machines = {machine.name: machine for machine in MACHINES if machine.gpu in gpus}
    for machine in machines.values():
        counts: dict[tuple[str, str], float] = {
            (machine.family, "core"): machine.cpu,
            (machine.family, "ram"): machine.memory_gb,
        }
        if machine.bundled:
            counts[machine.gpu, "gpu"] = machine.gpus
        yield _item({"machine": machine.name}, skus, counts)
    for gpu in {machine.gpu for machine in machines.values() if not machine.bundled}:
        yield _item({"gpu": gpu}, skus, {(gpu, "gpu"): 1})
    price, used = skus.total({_DISK: 1})
    yield Price(disk=DISK, on_demand=price, skus=tuple(used))


def _item(
    named: dict[str, str], skus: _Skus, counts: Mapping[tuple[str, str], float]
) -> Price:
    def sold(*ways: str) -> dict[_Part, float]:
        return {_Part(way, *what): n for way in ways for what, n in counts.items()}

    on_demand, used = skus.total(sold("on demand"))
    spot, more = skus.total(sold("spot", _FEE))
    return Price(**named, on_demand=on_demand, spot=spot, skus=(*used, *more))


def _session() -> Any:
    """Return a session that may read the catalogue.

    Neither key nor token is ever part of an address, so none gets into a log.
    """
    import google.auth
    import requests
    from google.auth.transport.requests import AuthorizedSession
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    key = os.environ.get(KEY_VARIABLE)
    session: Any
    if key:
        session = requests.Session()
        session.headers["X-Goog-Api-Key"] = key
    else:
        try:
            credentials, _ = google.auth.default(scopes=[_SCOPE])
        except google.auth.exceptions.DefaultCredentialsError:
            raise PricesError(
                f"no credentials: set {KEY_VARIABLE} to an API key, or run gcloud auth"
                " application-default login"
            ) from None
        session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    again = Retry(total=3, backoff_factor=1, status_forcelist=(502, 503))
    session.mount("https://", HTTPAdapter(max_retries=again))
    return session


def _listed(session: Any, service: str, currency: str) -> Iterator[Json]:
    """Yield the SKUs of a service, page by page."""
    import google.auth.exceptions
    import requests

    token = ""
    while True:
        asked = {"currencyCode": currency, "pageSize": 5000, "pageToken": token}
        try:
            answer = session.get(f"{service}/skus", params=asked, timeout=_SECONDS)
            page = answer.json()
        except (requests.RequestException, google.auth.exceptions.GoogleAuthError) as e:
            raise PricesError(f"the price catalogue does not answer: {e}") from None
        if not answer.ok:
            reason = page.get("error", {}).get("message", answer.reason)
            raise PricesError(
                f"the price catalogue answered {answer.status_code}: {reason}"
            )
        yield from page.get("skus", ())
        token = page.get("nextPageToken", "")
        if not token:
            return
