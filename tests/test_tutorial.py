"""The tutorial's commands run as they stand, and print what the page shows.

Numbers may differ. A line of three dots in an output stands for any number of lines.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

PAGES = [*(Path(__file__).parents[1] / "docs").rglob("tutorial.md")]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)

ADDED = {"fit": ("--seed", "3"), "audit": ("--attackers", "quick")}
"""What makes the commands repeatable and fast here. A fit with a seed warns of it."""


def steps(page):
    """The programs and the commands of a page in their order; a command with what it prints."""

    for kind, content in BLOCK.findall(page):
        if kind == "python":
            yield content, None
        else:
            for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
                command, _, printed = part.partition("\n")
                yield command, printed


def masked(text):
    """The lines without their numbers, and with single spaces."""

    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())

    return [re.sub(r"\d+(\.\d+)?", "#", line) for line in lines if line]


def matches(shown, printed):
    """Whether lines are as shown, where "..." is any number of lines."""

    pattern = "".join(
        r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in masked(shown)
    )

    return re.fullmatch(pattern, "".join(f"{line}\n" for line in masked(printed))) is not None


def test_a_line_that_is_not_shown_is_found():
    assert matches("a 1\n...\nc 0.5", "a   20\nb\n\nc 7\n")
    assert matches("a\n...\n", "a\n")
    assert not matches("a\nc", "a\nb\nc\n")
    assert not matches("a", "b\n")
    assert not matches("", "a\n")


@pytest.mark.skipif(not PAGES, reason="the documentation is not there")
@pytest.mark.filterwarnings("default")  # the command line prints them
def test_the_tutorial(command_line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code, shown in steps(PAGES[0].read_text()):
        if shown is None:
            exec(compile(code, "tutorial.md", "exec"), {})
            continue
        first, *words = shlex.split(code)
        if first != "bitveil":
            done = subprocess.run([first, *words], capture_output=True, text=True, check=True)
            printed = done.stdout
        else:
            exit_code, out, err = command_line(*words, *ADDED.get(words[0], ()))
            assert exit_code == 0, err
            printed = out if words[0] == "fit" else err + out
        assert matches(shown, printed), f"{code}\n{printed}"
