"""Make the sample report of the documentation, and a picture of its top, from Adult.

Run `python benchmarks/sample_report.py`. The picture needs Chromium and Playwright.
"""

import datetime
import shutil
import sys
from pathlib import Path

from bitveil import InvariantClassifier
from bitveil.audits import html_report
from bitveil.cards import card
from bitveil.datasets import load_adult

DOCS = Path(__file__).parents[1] / "docs"
MADE = datetime.date(2026, 11, 30)
SIZE = {"width": 1180, "height": 1000}


def sample():
    """The page and the card of an encoder for income that hides sex, on the official test rows."""

    adult = load_adult()
    test, X = adult.official_test, adult.without("sex")
    income = adult.target.map({0: "<=50K", 1: ">50K"}).rename("income")
    sex = adult.sensitive["sex"].map({"Female": "women", "Male": "men"})
    model = InvariantClassifier(max_gap=0.10, random_state=0)
    model.fit(X[~test], income[~test], sensitive_features=sex[~test], ids=X.index[~test])
    found = model.audit(
        X[test], income[test], sensitive_features=sex[test], ids=X.index[test], attackers="all"
    )
    page = html_report(
        found,
        data="Adult (UCI, 1996), the official test rows",
        command="python benchmarks/sample_report.py",
        date=MADE,
    )
    sheet = card(
        model,
        purpose="To show what a card looks like.",
        contact="The bitveil developers",
        audit=found,
        date=MADE,
    )

    return page, sheet.to_markdown()


def picture(page, place):
    """A picture of the top of the page."""

    from PIL import Image
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("The picture needs Chromium: apt install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport=SIZE, color_scheme="light")
        tab.goto(page.as_uri())
        tab.screenshot(path=place)
        browser.close()
    Image.open(place).convert("RGB").quantize(200).save(place, optimize=True)


if __name__ == "__main__":
    content, sheet = sample()
    (DOCS / "sample-report.html").write_text(content, encoding="utf-8")
    (DOCS / "sample-card.md.txt").write_text(sheet, encoding="utf-8")
    picture(DOCS / "sample-report.html", DOCS / "report.png")
