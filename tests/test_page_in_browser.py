"""The page in a browser: it is drawn, it answers pointer and keyboard, and it prints."""

import os
import shutil
from pathlib import Path

import pytest


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if chromium() is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, tmp_path):
    """Open a page; afterwards no error was said and nothing but the file was asked for."""

    said, asked, contexts = [], [], []

    def go(content, width=1280, **settings):
        file = tmp_path / "page.html"
        file.write_text(content, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        assert asked.pop() == file.as_uri()
        page.set_default_timeout(5_000)
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == []
    assert asked == []


BOXES = """Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => [
  figure.id,
  [...figure.querySelectorAll(".mark")].map((mark) => mark.getBoundingClientRect())
    .filter((box) => box.width + box.height > 0).map((box) => [box.x, box.width, box.height]),
]))"""


@pytest.mark.parametrize("width", [1280, 390])
def test_every_plot_is_drawn_within_the_page(visit, content, width):
    page = visit(content, width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figures = page.evaluate(BOXES)
    assert len(figures) == content.count("<figure")
    for boxes in figures.values():
        assert boxes
        assert all(wide + high > 0 and -8 <= left <= width + 8 for left, wide, high in boxes)


def test_everything_is_readable_without_the_script(visit, pages):
    page = visit(pages["adult"], java_script_enabled=False)

    assert page.locator(".controls:visible").count() == 0
    assert page.locator("#a0-codes .row:visible").count() > 12
    assert page.locator("#a0-bits tbody tr").count() == 4


def test_marks_say_their_numbers_to_pointer_and_keyboard(visit, pages):
    page = visit(pages["adult"])
    tip = page.locator("#tip")
    figure = page.locator("#a0-attackers")

    figure.locator(".mark").nth(0).hover()
    assert "exact for these rows" in tip.inner_text()
    figure.locator('.mark[tabindex="0"]').focus()
    first = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert first != second
    assert tip.inner_text() in second
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    assert figure.locator('.mark[tabindex="0"]').count() == 1  # one stop in the order of tabs


def test_rows_are_sorted_shown_and_marked(visit, pages):
    page = visit(pages["wide"])
    codes = page.locator("#a0-codes .row:not(.axis)")
    shown = page.locator("#a0-codes .row:not(.axis):visible")
    assert shown.count() == 12
    page.get_by_role("button", name="code", exact=True).click()
    names = [codes.nth(i).get_attribute("data-code") for i in range(codes.count())]
    assert names == sorted(names)
    assert shown.count() == 12
    page.locator("#a0-codes [data-more]").click()
    assert shown.count() == codes.count()

    page.locator("[data-match]").first.click()
    lit = page.locator("#a0-codes .row.lit")
    assert lit.count() > 0
    assert {lit.nth(i).get_attribute("data-code")[4] for i in range(lit.count())} == {"0"}

    page.get_by_role("button", name="Reveals about the sensitive attribute alone").click()
    assert page.locator("#a0-bits tbody tr").first.locator("th").inner_text() == "bit 4"


def test_another_scale_moves_the_marks_and_back(visit, pages):
    page = visit(pages["adult"])
    dot = page.locator("#a0-attackers [data-v]").first
    before = dot.get_attribute("x")
    button = page.locator("#a0-attackers [data-scale]")
    button.click()
    assert dot.get_attribute("x") != before
    button.click()
    assert float(dot.get_attribute("x")[:-1]) == pytest.approx(float(before[:-1]), abs=0.01)


def test_a_page_prints_with_its_tables(visit, pages):
    page = visit(pages["adult"])

    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.locator(".controls:visible").count() == 0
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#a0-attackers-table").is_visible()
    assert len(page.pdf()) > 20_000


def axe():
    """axe-core, from where the variable AXE says, or from node_modules beside the repository."""

    root = Path(__file__).parents[1]
    places = [os.environ.get("AXE", ""), root / "node_modules/axe-core/axe.min.js"]

    return next((Path(place) for place in places if place and Path(place).is_file()), None)


@pytest.mark.skipif(axe() is None, reason="axe-core is not there: npm install axe-core, or AXE")
@pytest.mark.parametrize(
    ("kind", "width", "scheme"),
    [
        ("adult", 1280, "light"),
        ("adult", 390, "dark"),
        ("foreign", 390, "light"),
        ("several", 1280, "dark"),
    ],
)
def test_axe_finds_no_barrier(visit, pages, kind, width, scheme):
    page = visit(pages[kind], width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate(axe().read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")

    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
    passed = {rule["id"] for rule in found["passes"]}
    assert {
        "color-contrast",
        "landmark-one-main",
        "region",
        "svg-img-alt",
        "heading-order",
    } <= passed
