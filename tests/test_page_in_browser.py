"""The page in a browser: it is drawn, it answers pointer and keyboard, and it prints."""

import re
import shutil
from importlib.resources import files
from importlib.util import find_spec

import pytest


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    if chromium() is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=chromium(), args=flags)
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


OPEN = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"

BOXES = """Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => [
  figure.id,
  [...figure.querySelectorAll(".mark")].map((mark) => mark.getBoundingClientRect())
    .filter((box) => box.width + box.height > 0).map((box) => [box.x, box.width, box.height]),
]))"""


DRAWN = """[...document.querySelectorAll("figure.rows .cell .track")].flatMap((track) => {
  const figure = track.closest("figure"), flipped = figure.classList.contains("flipped");
  const low = Number(flipped ? figure.dataset.otherLow : figure.dataset.low);
  const high = Number(flipped ? figure.dataset.otherHigh : figure.dataset.high);
  const area = track.getBoundingClientRect();
  const place = (value) => area.left + area.width * (Number(value) - low) / (high - low);
  const lines = [...track.querySelectorAll("[data-v1]")].map((line) => {
    const box = line.getBoundingClientRect();
    const ends = [place(line.dataset.v1), place(line.dataset.v2)];
    return [figure.id, line.getAttribute("class"), area.left, area.right,
            box.left, Math.min(...ends), box.right, Math.max(...ends)];
  });
  const dots = [...track.querySelectorAll("[data-v] .shape")].map((dot) => {
    const box = dot.getBoundingClientRect(), middle = (box.left + box.right) / 2;
    const at = place(dot.closest("[data-v]").dataset.v);
    return [figure.id, "dot", area.left, area.right, middle, at, middle, at];
  });
  return [...lines, ...dots];
})"""
"""What is drawn on each axis: its plot area, where each end is, and where its number belongs."""


def misdrawn(page):
    """What lies outside its plot area, or elsewhere than its number says."""

    drawn = page.evaluate(DRAWN)
    assert {"dot", "band of0", "whisker of0"} <= {kind for _, kind, *_ in drawn}
    return [
        (figure, kind)
        for figure, kind, left, right, *ends in drawn
        if not all(left - 1.5 <= end <= right + 1.5 for end in ends)
        or max(abs(ends[0] - ends[1]), abs(ends[2] - ends[3])) > 1.5
    ]


@pytest.mark.parametrize("width", [1280, 390])
def test_every_plot_is_drawn_within_the_page_and_nothing_is_clipped(visit, content, width):
    page = visit(content, width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(OPEN)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    figures = page.evaluate(BOXES)
    assert len(figures) == content.count("<figure")
    for boxes in figures.values():
        assert boxes
        assert all(wide + high > 0 and -8 <= left <= width + 8 for left, wide, high in boxes)
    assert misdrawn(page) == []
    page.evaluate("document.querySelectorAll('[data-scale]').forEach((each) => each.click())")
    assert misdrawn(page) == []


def test_a_clipped_interval_would_be_found(visit, pages):
    page = visit(pages["odds"])
    page.evaluate(OPEN)
    page.evaluate("document.querySelector('#a0-use .whisker').setAttribute('x2', '50%')")
    page.evaluate("document.querySelector('#a0-attackers .whisker').dataset.v1 = -2")

    assert set(misdrawn(page)) == {("a0-use", "whisker of0"), ("a0-attackers", "whisker of0")}


def test_wide_tables_scroll_and_say_so(visit, pages):
    page = visit(pages["adult"], 390)
    page.evaluate(OPEN)
    page.wait_for_function("document.querySelectorAll('.over').length > 0")

    wide = page.locator(".wide")
    for i in range(wide.count()):
        table = wide.nth(i).locator(".scroll")
        wider = table.evaluate("(box) => box.scrollWidth > box.clientWidth + 1")
        assert wide.nth(i).locator(".hint").is_visible() == wider
    page = visit(pages["adult"], 390, java_script_enabled=False)
    assert page.locator("#a0-leakage .hint").count() == 1


def test_everything_is_readable_without_the_script(visit, pages):
    page = visit(pages["adult"], java_script_enabled=False)

    assert page.locator(".controls:visible").count() == 0
    page.locator("#a0-specialists > details > summary").click()
    assert page.locator("#a0-codes .row:visible").count() > 12
    assert page.locator("#a0-bits tbody tr").count() == 4


def test_marks_say_their_numbers_to_pointer_and_keyboard(visit, pages):
    page = visit(pages["adult"])
    tip = page.locator("#tip")
    figure = page.locator("#a0-attackers")
    page.locator("#a0-specialists > details > summary").click()

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
    page.locator("#a0-specialists > details > summary").click()
    codes = page.locator("#a0-codes .row:not(.axis)")
    shown = page.locator("#a0-codes .row:not(.axis):visible")
    assert shown.count() == 12
    page.get_by_role("button", name="code", exact=True).click()
    names = [codes.nth(i).get_attribute("data-code") for i in range(codes.count())]
    assert names == sorted(names)
    assert shown.count() == 12
    page.locator("#a0-codes [data-more]").click()
    assert shown.count() == codes.count()

    page.locator("#a0-specialists > details > summary").click()  # closed again
    page.locator("[data-match]").first.click()
    assert shown.first.is_visible()
    lit = page.locator("#a0-codes .row.lit")
    assert lit.count() > 0
    assert {lit.nth(i).get_attribute("data-code")[4] for i in range(lit.count())} == {"0"}

    page.get_by_role("button", name="Reveals about the sensitive attribute alone").click()
    assert page.locator("#a0-bits tbody tr").first.locator("th").inner_text() == "bit 4"


def test_another_scale_moves_the_marks_and_back(visit, pages):
    page = visit(pages["adult"])
    dot = page.locator("#a0-use [data-v]").first
    before = dot.get_attribute("x")
    button = page.locator("#a0-use [data-scale]")
    button.click()
    assert dot.get_attribute("x") != before
    button.click()
    assert float(dot.get_attribute("x")[:-1]) == pytest.approx(float(before[:-1]), abs=0.01)


def printed(page):
    """How many sheets of A4 a page fills."""

    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))


def test_a_page_prints_on_four_sheets_at_most(visit, content):
    page = visit(content)

    assert 1 <= printed(page) <= 4


def test_what_is_open_is_printed_and_no_controls_are(visit, pages):
    page = visit(pages["odds"])
    page.emulate_media(media="print")

    assert page.locator("nav").is_hidden()
    assert page.locator(".controls:visible").count() == 0
    assert not page.locator("#a0-certificates-table").is_visible()
    closed = printed(page)
    page.evaluate("document.querySelector('#a0-specialists > details').open = true")
    assert page.locator("#a0-certificates-table").is_visible()
    assert printed(page) > closed


def test_a_link_opens_what_it_leads_to(visit, pages):
    page = visit(pages["odds"])
    assert not page.locator("#a0-certificates-table").is_visible()
    page.get_by_role("link", name="For specialists").click()
    page.locator("#a0-certificates-table").wait_for(state="visible")
    several = visit(pages["several"])
    several.evaluate("location.hash = '#a1-again'")
    several.locator("#a1-again").wait_for(state="visible")


def axe():
    """axe-core, which comes with a package for the tests; None without it."""

    if find_spec("axe_playwright_python") is None:
        return None
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


@pytest.mark.skipif(axe() is None, reason="axe is missing: pip install axe-playwright-python")
@pytest.mark.parametrize(
    ("kind", "width", "scheme"),
    [("odds", 390, "dark"), ("broken", 1280, "light"), ("blank", 1280, "dark")],
)
def test_axe_finds_no_barrier(visit, pages, kind, width, scheme):
    page = visit(pages[kind], width, color_scheme=scheme)
    page.evaluate(OPEN)
    page.evaluate(axe())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")

    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found["violations"]] == []
    passed = {rule["id"] for rule in found["passes"]}
    assert {
        "color-contrast",
        "landmark-one-main",
        "region",
        "svg-img-alt",
        "heading-order",
    } <= passed
