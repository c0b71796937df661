"""The pages: their sizes, links, sentences, and what a browser would ask for."""

import html
import importlib.util
import math
import re
import tomllib
from functools import cache
from itertools import product
from urllib.parse import unquote

import pytest
import torch

from bitveil.certificates.planning import least_gap
from bitveil.codes import code_likelihood
from test_documentation import DOCS, MADE, PAGES, ROOT

BUILT = DOCS / "_build" / "html"
LARGEST = 40_000  # bytes of a page's source
WORDS = {"what_you_may_claim.md": 18, "README.md": 20, "start.md": 20, "tutorial.md": 20}
"""The longest mean sentence of some pages, in words."""


def source(page):
    return ROOT / page if page == "README.md" else DOCS / page


def without_code(text):
    return re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)


# Sizes


def test_no_page_is_large():
    sources = [*map(source, PAGES), *DOCS.glob("*.rst")]

    assert not {
        path.name: path.stat().st_size for path in sources if path.stat().st_size > LARGEST
    }


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


# Links


def slug(heading):
    """The anchor of a heading, as GitHub and MyST make it."""

    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")

    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


@cache
def anchors(path):
    text = without_code(path.read_text())

    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)}


def broken_links(path):
    """Links of a page to files that are not there, or to headings that a page does not have."""

    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(path.read_text())):
        file, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", file) or file.split("/")[0] in MADE:
            continue
        there = (path.parent / file).resolve() if file else path
        headings = anchors(there) if there.suffix == ".md" and there.exists() else {anchor}
        if not there.exists() or (anchor and anchor not in headings):
            yield target


@pytest.mark.parametrize("page", [*PAGES, "../CONTRIBUTING.md", "../CHANGELOG.md"])
def test_links_lead_somewhere(page):
    assert not list(broken_links(source(page).resolve()))


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](page.md#one-two) [b](#three) [c](no.md) [d](https://x.org)\n")

    assert list(broken_links(page)) == ["#three", "no.md"]


# Sentences


def sentences(text):
    """The sentences of a page without code, tables and headings. Items of a list are apart."""

    text = re.sub(r"<!--.*?-->", "", without_code(text), flags=re.DOTALL)
    text = re.sub(r"^(#|\|).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*(?:[-*]|\d+\.)\s+", "\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^> ?", "", text, flags=re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`|\$[^$]*\$", "x", text)
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in re.split(r"(?<=[.!?])[\"*)]*\s+", " ".join(paragraph.split())):
            if re.search(r"\w", sentence):
                yield sentence


def mean_length(text):
    lengths = [len(re.findall(r"[\w'’-]+", sentence)) for sentence in sentences(text)]

    return sum(lengths) / len(lengths)


@pytest.mark.parametrize("page", sorted(WORDS.keys() & set(PAGES)))
def test_sentences_are_short(page):
    assert mean_length(source(page).read_text()) <= WORDS[page]


def test_sentences_are_counted():
    text = "# A heading\n\nOne two three. Four `x y` six\nseven!\n\n- Eight\n- nine ten\n"

    assert list(sentences(text)) == ["One two three.", "Four x six seven!", "Eight", "nine ten"]
    assert mean_length(text) == 10 / 4


# What the README says of the package


def test_badges_and_citation_agree_with_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = (ROOT / "CITATION.cff").read_text()

    def badge(name):
        return (DOCS / "badges" / f"{name}.svg").read_text()

    assert f"python: {project['requires-python'].removeprefix('>=')} or newer" in badge("python")
    assert f"license: {project['license']}" in badge("license")
    assert f"\nversion: {project['version']}\n" in citation
    assert f"\nlicense: {project['license']}\n" in citation
    assert project["urls"]["Paper"] in citation


def test_pictures_of_the_readme_are_files_here():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())

    assert pictures
    assert all((ROOT / picture).exists() for picture in pictures)


# What the officer's page calculates


def officers_page():
    return (DOCS / "what_you_may_claim.md").read_text()


def test_the_smallest_gaps_are_those_that_can_be_certified():
    rows = re.findall(
        r"^\| ([\d,]+) \| ([\d.]+) points \| ([\d.]+) points \|$", officers_page(), re.M
    )

    assert len(rows) == 5
    for size, *points in rows:
        sizes = [int(size.replace(",", "")), 5000]
        for written, delta in zip(points, (0.05, 0.001), strict=True):
            least = least_gap(sizes, delta, draws="certain")
            assert f"{100 * least:.1f}" == written


def test_the_privacy_of_bounded_bits_is_calculated_right():
    page = " ".join(officers_page().split())
    found = re.findall(r"Four bits between ([\d.]+) and [\d.]+ have ε = (\d+\.\d)", page)

    assert len(found) == 2
    for low, epsilon in found:
        assert f"{4 * math.log((1 - float(low)) / float(low)):.1f}" == epsilon
    gap = re.search(r"ε = (\d+\.\d) may still have a gap of (\d+) points", page)
    assert f"{100 * math.tanh(float(gap[1]) / 2):.0f}" == gap[2]


def test_bounded_bits_are_as_private_as_the_page_says():
    """The largest log-ratio of two rows' likelihoods of a code, over all corners of the range."""

    low, m = 0.1, 3
    rows = torch.logit(torch.tensor([*product((low, 1 - low), repeat=m)]))
    likelihood = code_likelihood(rows)
    ratios = (likelihood[:, None] / likelihood[None]).max().log()

    assert ratios.item() == pytest.approx(m * math.log((1 - low) / low))
    # Two groups, each of one kind of row: their total variation keeps the page's limit.
    variation = (likelihood[:, None] - likelihood[None]).abs().sum(-1).max() / 2
    assert variation.item() <= math.tanh(ratios.item() / 2)


# Formulas


def extension(name):
    """A module of `docs/_extensions`."""

    spec = importlib.util.spec_from_file_location(name, DOCS / "_extensions" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    return module


@pytest.fixture(scope="module")
def formulas():
    pytest.importorskip("latex2mathml", reason="latex2mathml is not installed")
    pytest.importorskip("sphinx", reason="sphinx is not installed")

    return extension("formulas")


def test_a_formula_becomes_mathml(formulas):
    found = formulas.mathml(r"\tfrac12 \sum_t p_t", None, "block")

    assert "<mfrac><mn>1</mn><mn>2</mn></mfrac>" in found
    assert 'display="block"' in found
    assert not formulas.unknown(found)


def test_names_of_functions_keep_their_distance(formulas):
    assert '<mo lspace="0.17em" rspace="0.17em">log</mo><mi>k</mi>' in formulas.mathml(
        r"\log k", None, "inline"
    )


def test_an_unknown_command_is_named(formulas):
    assert formulas.unknown(formulas.convert(r"\nosuchthing x")) == [r"\nosuchthing"]


# The contents of the API and of the command line


@pytest.fixture
def api_contents():
    return extension("api_contents")


def test_a_new_module_appears_by_itself(api_contents, monkeypatch):
    names = [*api_contents.modules(), "brand_new", "cli.brand_new"]
    monkeypatch.setattr(api_contents, "modules", lambda: names)

    assert "brand_new" in api_contents.others()
    assert "cli.brand_new" not in api_contents.others()


def test_no_module_is_listed_twice_or_hidden(api_contents):
    listed = " ".join(api_contents.SECTIONS.values()).split()

    assert len(listed) == len(set(listed))
    assert not set(listed) & set(api_contents.INSIDE)


def test_what_is_not_there_is_left_out(api_contents, monkeypatch):
    monkeypatch.setattr(api_contents, "SECTIONS", {"One": "tables no_such_module no.such"})
    page = api_contents.contents()

    assert "   bitveil.tables\n" in page
    assert "such" not in page


def test_every_command_has_a_section():
    page = extension("commands").page()

    assert page.startswith("# The command line\n")
    for name in ("demo", "fit", "encode", "audit", "count", "merge", "bench run"):
        assert f"# `bitveil {name}`" in page
    assert "`--max-gap" in page


# What was built


@cache
def built():
    """The text of each built page, by its path."""

    if not (BUILT / "index.html").exists():
        pytest.skip("the pages are not built: `make docs`")

    return {
        path: path.read_text("utf-8")
        for path in sorted(BUILT.rglob("*.html"))
        if "_static" not in path.parts
    }


LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?"
    r"\b(?:src|srcset|data)\s*=\s*[\"']?\s*(?:https?:)?//[^\s\"'>]+"
)
LINKED = re.compile(r"<link\b[^>]*>")


def requests_of(text):
    """What a page would load from other hosts."""

    yield from LOADED.findall(text)
    for link in LINKED.findall(text):
        if re.search(r"href\s*=\s*[\"'](?:https?:)?//", link) and "canonical" not in link:
            yield link
    yield from re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*\)", text)
    yield from re.findall(r"@import[^;]*//[^;]*", text)


def test_built_pages_ask_no_other_host():
    found = {path.name: asked for path, text in built().items() if (asked := [*requests_of(text)])}

    assert not found


def test_built_styles_ask_no_other_host():
    built()
    sheets = sorted(BUILT.rglob("*.css"))

    assert sheets
    assert not {s.name: asked for s in sheets if (asked := [*requests_of(s.read_text("utf-8"))])}


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ('<script defer="defer" src="https://cdn.example.org/mathjax.js"></script>', 1),
        ('<link rel="stylesheet" href="//fonts.example.org/a.css">', 1),
        ("<style>body {background: url(https://example.org/a.png)}</style>", 1),
        ('<a href="https://example.org">a</a> <img src="a.png"> <link href="b.css">', 0),
    ],
)
def test_a_request_is_found(text, n):
    assert len([*requests_of(text)]) == n


def test_links_between_built_pages_lead_somewhere():
    pages = built()
    names = {path: set(re.findall(r"\bid=\"([^\"]+)\"", text)) for path, text in pages.items()}
    broken = []
    for path, text in pages.items():
        for target in set(re.findall(r"<a\b[^>]*?\bhref=\"([^\"]*)\"", text)):
            file, _, anchor = html.unescape(target).partition("#")
            if re.match(r"[a-z]+:|//", file) or target == "#":
                continue
            there = (path.parent / unquote(file)).resolve() if file else path
            if not there.exists() or (
                anchor and there in names and unquote(anchor) not in names[there]
            ):
                broken.append((path.name, target))

    assert not broken


def test_every_public_object_has_a_page():
    import bitveil
    from bitveil.certificates import upper

    built()
    objects = [*(getattr(bitveil, name) for name in bitveil.__all__), upper.certify]

    for thing in objects:
        assert (BUILT / "api" / f"{thing.__module__}.{thing.__name__}.html").exists()
