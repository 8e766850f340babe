"""Price tables. All prices and SKU ids here are made up."""

import re
import zlib
from pathlib import Path

import pytest
import yaml

from pipelines.machines import machine_for
from pipelines.prices import (
    Price,
    Prices,
    PricesError,
    fetch_prices,
    read_prices,
    write_prices,
)
from tenfold.errors import TenfoldError
from tenfold.recipe import Resources
from tests.pipelines.conftest import serve
from tests.pipelines.platforms import Server

VERTEX, COMPUTE = "C7E2-9256-1C43", "6F81-5844-456A"
REGION = "us-central1"
TRAINING = "Vertex AI: Training/Pipelines"


def sku(description, price, unit="h", regions=(REGION,), tiers=1):
    whole, _, part = f"{price:.9f}".partition(".")
    money = {"currencyCode": "USD", "units": whole, "nanos": int(part)}
    rate = {"startUsageAmount": 0, "unitPrice": money}
    return {
        "skuId": f"ID-{zlib.crc32(description.encode()):08X}",
        "description": description,
        "category": {"usageType": "OnDemand"},
        "serviceRegions": list(regions),
        "pricingInfo": [
            {"pricingExpression": {"usageUnit": unit, "tieredRates": [rate] * tiers}}
        ],
    }


SPOT_T4 = "Nvidia Tesla T4 GPU attached to Spot Preemptible VMs running in Americas"


def catalogue():
    return {
        VERTEX: [
            sku(f"{TRAINING} on N1 Predefined Instance Core running in Iowa", 0.5),
            sku(
                f"{TRAINING} on N1 Predefined Instance Ram running in Iowa",
                0.25,
                "GiBy.h",
            ),
            sku(f"{TRAINING} on NVIDIA Tesla T4 in Iowa", 3),
            sku(f"{TRAINING} Management fee on N1 Instance Core in Iowa", 0.0625),
            sku(
                f"{TRAINING} management fee on N1 Instance RAM in Iowa", 0.125, "GiBy.h"
            ),
            sku(f"{TRAINING} management fee on NVIDIA Tesla T4 in Iowa", 1),
            sku(f"{TRAINING} on A3 Instance Core in Iowa", 2),
            sku(f"{TRAINING} on A3 Instance RAM in Iowa", 1, "GBy.h"),
            sku(f"{TRAINING} on NVIDIA H100 80GB in Iowa", 100),
            sku(f"{TRAINING} on SSD backed PD Capacity", 730, "GiBy.mo"),
            sku("Vertex AI: Online/Batch Prediction Nvidia L4 GPU running in Iowa", 9),
            sku(f"{TRAINING} on NVIDIA Tesla T4 in Oregon", 9, regions=["us-west1"]),
        ],
        COMPUTE: [
            sku(
                "Spot Preemptible N1 Predefined Instance Core running in Americas",
                0.03125,
            ),
            sku(
                "Spot Preemptible N1 Predefined Instance Ram running in Americas",
                0.5,
                "GiBy.h",
            ),
            sku(SPOT_T4, 0.5),
            sku("N1 Predefined Instance Core running in Americas", 77),
            sku("Nvidia Tesla T4 GPU running in Americas", 77),
        ],
    }


class Catalogue(Server):
    """The Cloud Billing Catalog API, two SKUs a page."""

    def __init__(self):
        super().__init__()
        self.skus, self.keys = catalogue(), []

    def obey(self, method, path, query, body, headers):
        assert (method, body) == ("GET", "")
        self.keys.append(headers["X-Goog-Api-Key"])
        service = re.fullmatch(r"/v1/services/(.+)/skus", path)[1]
        start = int(query.get("pageToken") or 0)
        page = {"skus": self.skus[service][start : start + 2]}
        if start + 2 < len(self.skus[service]):
            page["nextPageToken"] = str(start + 2)
        return 200, page, {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running():
    yield from serve(Catalogue)


@pytest.fixture(autouse=True)
def server(running, monkeypatch):
    """The catalogue as it is at first, for a user with a key."""
    monkeypatch.setenv("TENFOLD_BILLING_KEY", "a-secret-key")
    monkeypatch.setattr("pipelines.prices.CATALOGUE", running.address)
    running.skus, running.keys, running.requests = catalogue(), [], []
    return running


def fetch():
    return {item.name: item for item in fetch_prices(REGION).items}


def test_a_machine_on_demand_is_its_cores_and_memory():
    prices = fetch()
    assert prices["n1-standard-8"].on_demand == 8 * 0.5 + 30 * 0.25
    assert prices["NVIDIA_TESLA_T4"].on_demand == 3


def test_a_spot_machine_is_compute_engines_and_the_fee():
    prices = fetch()
    cores, memory = 4 * (0.03125 + 0.0625), 15 * (0.5 + 0.125)
    assert prices["n1-standard-4"].spot == pytest.approx(cores + memory)
    assert prices["NVIDIA_TESLA_T4"].spot == 0.5 + 1


def test_a_machine_with_its_own_gpus_has_them_in_its_price():
    prices = fetch()
    assert prices["a3-highgpu-8g"].on_demand == 208 * 2 + 1872 + 8 * 100
    assert prices["a3-highgpu-8g"].spot is None
    assert "NVIDIA_H100_80GB" not in prices


def test_a_months_price_of_a_disk_is_made_an_hours():
    assert fetch()["pd-ssd"].on_demand == 1


def test_other_regions_and_services_are_left_alone():
    prices = fetch()
    assert prices["NVIDIA_TESLA_T4"].on_demand == 3
    assert not any(name.startswith("g2") for name in prices)


def test_every_sum_names_its_skus():
    found = fetch_prices(REGION)
    item = next(item for item in found.items if item.name == "n1-standard-8")
    named = [found.skus[sku] for sku in item.skus]
    assert len(named) == 6
    assert sum(text.startswith("Spot Preemptible") for text in named) == 2
    assert sum("anagement fee" in text for text in named) == 2


@pytest.mark.parametrize(
    "odd",
    [
        sku(f"{TRAINING} on NVIDIA T4 in Iowa", 4),
        sku(f"{TRAINING} on NVIDIA Tesla T4 GPU running in Iowa", 4),
    ],
)
def test_two_skus_for_one_part_are_no_price(server, odd):
    server.skus[VERTEX].append(odd)
    prices = fetch()
    assert prices["NVIDIA_TESLA_T4"].on_demand is None
    assert prices["NVIDIA_TESLA_T4"].spot == 1.5


@pytest.mark.parametrize("changed", [{"unit": "mo"}, {"tiers": 2}])
def test_a_price_of_another_shape_is_no_price(server, changed):
    server.skus[VERTEX][2] = sku(f"{TRAINING} on NVIDIA Tesla T4 in Iowa", 3, **changed)
    assert fetch()["NVIDIA_TESLA_T4"].on_demand is None


def test_the_key_goes_into_no_address_and_no_message(server):
    server.fail(403, "Cloud Billing API has not been used in project 1", "GET")
    with pytest.raises(PricesError, match=r"answered 403: .* not been used") as raised:
        fetch_prices(REGION)
    fetch_prices(REGION)
    assert set(server.keys) == {"a-secret-key"}
    assert "a-secret-key" not in repr(server.requests) + str(raised.value)


def test_a_catalogue_without_prices_says_what_to_do(server):
    server.skus = {VERTEX: [], COMPUTE: []}
    with pytest.raises(PricesError, match=r"no training price .* docs/prices\.md"):
        fetch_prices(REGION)


def test_an_unreachable_catalogue_is_one_sentence(monkeypatch):
    monkeypatch.setattr("pipelines.prices.CATALOGUE", "http://127.0.0.1:9")
    with pytest.raises(PricesError, match="does not answer"):
        fetch_prices(REGION)


def test_a_region_without_accelerators_is_refused_before_anybody_is_asked(tenfold):
    code, _, error = tenfold("prices", "fetch", "--region", "us-south1")
    assert code == 2
    assert "us-south1 has no accelerator for training; asia-east1," in error


def test_without_credentials_the_command_says_which(tenfold, monkeypatch, tmp_path):
    monkeypatch.delenv("TENFOLD_BILLING_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    code, _, error = tenfold("prices", "fetch", "--region", REGION)
    assert code == 2
    assert "set TENFOLD_BILLING_KEY to an API key, or run gcloud auth" in error


def test_the_command_writes_what_the_plan_reads(tenfold, tmp_path):
    path = tmp_path / "prices.yaml"
    code, out, _ = tenfold("prices", "fetch", "--region", REGION, "--out", path)
    assert (code, out.strip()) == (0, str(path))
    assert read_prices(path).region == REGION


TABLE = {
    "currency": "EUR",
    "date": "2026-01-02",
    "source": "made up",
    "region": REGION,
    "items": [
        {"machine": "n1-standard-8", "on_demand": 2.0, "spot": 0.5},
        {"gpu": "NVIDIA_TESLA_T4", "on_demand": 4.0, "spot": 1.0},
        {"machine": "g2-standard-8", "on_demand": 8.0},
        {"disk": "pd-ssd", "on_demand": 0.01},
    ],
}


def table(**changes):
    return Prices.model_validate({**TABLE, **changes})


def test_an_hour_is_machine_accelerators_and_disk():
    machine = machine_for(Resources(gpu="NVIDIA_TESLA_T4", gpus=2, cpu=8))
    assert table().hour(machine, 100, spot=False) == (2 + 2 * 4 + 1, ())
    assert table().hour(machine, 100, spot=True) == (0.5 + 2 * 1 + 1, ())


def test_an_hour_names_what_has_no_price():
    machine = machine_for(Resources(gpu="NVIDIA_L4", gpus=1, cpu=8))
    assert table().hour(machine, 100, spot=False) == (8 + 1, ())
    assert table().hour(machine, 100, spot=True)[1] == ("g2-standard-8 spot",)
    none = table(items=[{"machine": "n1-standard-8"}])
    assert none.hour(machine, 100, False)[1] == (
        "g2-standard-8 on demand",
        "pd-ssd on demand",
    )


def test_a_table_survives_being_written(tmp_path):
    path = tmp_path / "prices.yaml"
    write_prices(table(), path)
    assert read_prices(path) == table()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"currency": "euro"}, "currency"),
        ({"date": "yesterday"}, "date"),
        ({"items": [{"machine": "m", "gpu": "g"}]}, "one of machine, gpu, disk"),
        ({"items": [{"on_demand": 1}]}, "one of machine, gpu, disk"),
        ({"items": [{"gpu": "g", "spot": -1}]}, "items.0.spot"),
        ({"items": [{"gpu": "g"}, {"gpu": "g"}]}, "two prices of g"),
        ({"items": [{"gpu": "g", "ondemand": 1}]}, "unknown key 'items.0.ondemand'"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, change, words):
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump({**TABLE, **change}))
    with pytest.raises(TenfoldError, match=re.escape(words)) as raised:
        read_prices(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("text", ["- a\n", "a: [\n"])
def test_a_file_that_is_no_table_is_named(tmp_path, text):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(PricesError, match=r"prices\.yaml"):
        read_prices(path)


def test_the_documented_table_is_one(tmp_path):
    text = Path("docs/prices.md").read_text("utf-8")
    example = re.search(r"```yaml\n(.+?)```", text, re.DOTALL)[1]
    path = tmp_path / "prices.yaml"
    path.write_text(re.sub(r": …", ": 1.5", example))
    assert all(isinstance(item, Price) for item in read_prices(path).items)
