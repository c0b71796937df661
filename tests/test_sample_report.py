"""The sample of the documentation, and how long the sentences of reports and cards are."""

import re
from html.parser import HTMLParser
from pathlib import Path
from statistics import mean

import pytest

from audit_pages import Parsed
from bitveil.cards import _MUST_NOT

DOCS = Path(__file__).parents[1] / "docs"


def test_the_sample_is_a_report_of_a_promise_and_asks_for_nothing():
    content = (DOCS / "sample-report.html").read_text("utf-8")
    words = Parsed(content).words()

    assert len(content) < 400_000
    assert not re.search(r"https?://|@import|url\(", content)
    assert "✓ Kept" in words
    assert "No rule that sees only these codes treats men and women more than" in words
    assert "What protection costs" in words
    assert (DOCS / "report.png").stat().st_size < 250_000


class Prose(HTMLParser):
    """The sentences of paragraphs and of lists, without headings, labels, numbers and tables."""

    def __init__(self, content):
        super().__init__()
        self.inside, self.sentences = 0, []
        self.feed(content)

    def handle_starttag(self, tag, attributes):
        if tag in ("p", "li"):
            self.inside += 1
            self.sentences.append("")

    def handle_endtag(self, tag):
        self.inside -= tag in ("p", "li")

    def handle_data(self, data):
        if self.inside:
            self.sentences[-1] += data

    def lengths(self):
        text = [" ".join(paragraph.split()) for paragraph in self.sentences]
        parts = [part for words in text for part in re.split(r"(?<=[.:;?!])\s", words)]
        return [len(part.split()) for part in parts if len(part.split()) > 3]


@pytest.mark.parametrize("kind", ["odds", "broken", "groups", "blank", "adult"])
def test_sentences_of_a_report_are_short(pages, kind):
    lengths = Prose(pages[kind]).lengths()

    assert len(lengths) > 30
    assert mean(lengths) <= 12
    assert max(lengths) <= 28


def test_sentences_of_a_card_are_short():
    lengths = Prose("".join(f"<p>{each}</p>" for each in _MUST_NOT)).lengths()

    assert mean(lengths) <= 13
    assert max(lengths) <= 24


def test_long_sentences_would_be_found():
    assert Prose(f"<p>One two three four. {'word ' * 40}</p>").lengths() == [4, 40]
