"""The report of a run in a headless Chromium, on a desk and on a phone."""

import shutil
import subprocess

import pytest

from tests.contract.driver import run_stages

PHONE, DESK = 390, 1280
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--allow-file-access-from-files"),
    *("--virtual-time-budget=4000", "--hide-scrollbars"),
]
#: Opens a page in a frame of a given width and writes down how wide it gets.
PROBE = """<!doctype html><body><iframe id=f src="{page}"
 style="width:{width}px;height:900px;border:0"></iframe><p id=o></p><script>
onload = () => {{ const d = document.getElementById('f').contentDocument;
 document.getElementById('o').textContent = 'wide=' + d.documentElement.scrollWidth
 + ' images=' + [...d.images].filter(i => !i.naturalWidth).length
 + ' scripts=' + d.scripts.length; }}</script>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    from pathlib import Path

    from tenfold.challenges import find_challenge, load_recipe
    from tenfold.stages.context import Context
    from tenfold.stages.report import RunRecord, write_report
    from tenfold.store import Store
    from tests.contract.test_kelp_contract import TestKelp

    directory: Path = tmp_path_factory.mktemp("site")
    recipe = load_recipe("kelp", "smoke", TestKelp.settings)
    find_challenge("kelp").synth.synthesise(directory / "data", recipe.synth)
    store = directory / "store"
    source = str(directory / "data" / "data")
    run = run_stages(Context(recipe, Store(store)), source)
    tasks = tuple(run.tasks.values())
    record = RunRecord(recipe.to_json(), source, "", str(store), "", tasks)
    return write_report(record, directory).parent


def measure(page, width, tmp_path):
    probe = tmp_path / f"{page.stem}-{width}.html"
    probe.write_text(PROBE.format(page=page.as_uri(), width=width))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "install Chromium to run the browser tests"
    done = subprocess.run(
        [
            *(chromium, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--window-size={max(width, 600)},1000", "--dump-dom", probe.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    text = done.stdout.partition('<p id="o">')[2].partition("<")[0]
    return dict(part.split("=") for part in text.split())


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_no_page_is_wider_than_the_screen_or_lacks_a_picture(site, width, tmp_path):
    pages = sorted(site.glob("*.html"))
    assert {"index", "preview", "group", "tune"} <= {page.stem for page in pages}
    for page in pages:
        found = measure(page, width, tmp_path)
        assert int(found["wide"]) <= width, page.name
        assert found["images"] == "0", page.name
        assert found["scripts"] == "0", page.name
