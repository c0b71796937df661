"""Built pages in a browser: they ask for nothing, figures turn dark, and the search finds."""

import shutil

import pytest

from test_documentation import DOCS

BUILT = DOCS / "_build" / "html"
FIGURE = "document.querySelector('img[src$=\".svg\"]')"


@pytest.fixture(scope="module")
def chrome():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if shutil.which("chromium") is None:
        pytest.skip("Chromium is not installed")
    if not (BUILT / "index.html").exists():
        pytest.skip("the pages are not built: `make docs`")
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium")
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(chrome):
    """Open a built page. At the end nothing was said, and only files were read."""

    said, asked, contexts = [], [], []

    def go(name, **settings):
        contexts.append(chrome.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{(BUILT / name).as_uri()}")
        return page

    yield go
    for context in contexts:
        context.close()
    assert not said
    assert asked
    assert all(address.startswith(("file:", "data:")) for address in asked)


@pytest.mark.parametrize(
    ("scheme", "filtered"), [("light", "none"), ("dark", "invert(0.9) hue-rotate(180deg)")]
)
def test_figures_follow_the_colours_of_the_page(open_page, scheme, filtered):
    page = open_page("benchmark.html", color_scheme=scheme)

    assert page.evaluate(f"getComputedStyle({FIGURE}).filter") == filtered
    page.emulate_media(media="print")
    assert page.evaluate(f"getComputedStyle({FIGURE}).filter") == "none"


@pytest.mark.parametrize("name", ["what_you_may_claim", "start", "benchmark", "mathematics"])
def test_a_narrow_page_does_not_scroll_sideways(open_page, name):
    page = open_page(f"{name}.html", viewport={"width": 390, "height": 800})

    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_overview_fits_on_one_screen(open_page):
    page = open_page("benchmark.html", viewport={"width": 1280, "height": 900})
    table = "document.querySelector('article table').getBoundingClientRect().bottom"

    assert page.evaluate(f"{FIGURE}.complete && {FIGURE}.naturalWidth") > 0
    assert page.evaluate(table) <= 900


def test_the_search_finds_pages_on_a_disk(open_page):
    page = open_page("what_you_may_claim.html")
    page.goto(f"{(BUILT / 'search.html').as_uri()}?q=dilution")
    page.wait_for_selector("#search-results li a")

    assert page.locator("#search-results li a").count() > 0


def test_formulas_are_drawn(open_page):
    page = open_page("mathematics.html")

    assert page.locator("math").count() > 20
    assert page.evaluate("document.querySelector('math').getBoundingClientRect().width") > 5
