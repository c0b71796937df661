"""The GitHub Actions example of the pages: its steps run here, all but the installation."""

import os
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml

from builders import KEY, quick

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "gate.yml"


def steps():
    return yaml.safe_load(FILE.read_text())["jobs"]["gate"]["steps"]


def rows(n, seed):
    """People whose group is told by their height, and their skill by nothing."""

    rng = np.random.default_rng(seed)
    s = rng.choice(["f", "m"], n)
    table = pd.DataFrame(
        {"skill": rng.normal(size=n), "height": rng.normal(size=n) + 4 * (s == "m")}
    )
    y = np.where(table["skill"] > 0, "yes", "no")

    return table.assign(hired=y, sex=s, person=[f"{seed}-{i}" for i in range(n)])


SHIM = """#!/bin/sh
printf '%s\\0' "$@" > call.new && mv call.new call
while [ ! -f answer ]; do sleep 0.05; done
exit "$(cat answer)"
"""
"""`bitveil` for the shell of a step: it hands its words over and leaves with the given code. A
process of its own would take seconds to start."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the workflow expects to find, and `bitveil` on the path."""

    monkeypatch.chdir(tmp_path)
    rows(2000, 1).to_csv("new_people.csv", index=False)
    Path("bin").mkdir()
    Path("bin/bitveil").write_text(SHIM)
    Path("bin/bitveil").chmod(0o755)
    Path("summary").touch()  # the runner makes it

    return tmp_path


def run_step(step, command_line, folder):
    """Run a step as the runner does: its exit code, and what `bitveil` printed."""

    env = {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        **step["env"],
    }
    shell = subprocess.Popen(["bash", "-e", "-c", step["run"]], env=env)
    while shell.poll() is None and not Path("call").exists():
        time.sleep(0.01)
    words = Path("call").read_text().split("\0")[:-1]
    code, out, err = command_line(*words)
    Path("answer.new").write_text(str(code))
    Path("answer.new").rename("answer")

    return shell.wait(30), out, err


def test_the_steps_are_an_installation_and_an_audit():
    assert [step["name"] for step in steps() if "run" in step] == ["Install bitveil", "Audit"]


@pytest.mark.parametrize(
    ("feature", "code", "word"), [("skill", 0, "Kept"), ("height", 1, "Broken")]
)
def test_the_workflow_lets_good_codes_pass_and_stops_others(
    folder, command_line, feature, code, word
):
    fitted = rows(400, 0)
    model = quick(n_bits=2, key=KEY, strength=0.0, epochs=100)
    y = np.where(fitted[feature] > fitted[feature].median(), "yes", "no")
    model.fit(
        fitted[[feature]],
        pd.Series(y, name="hired"),
        sensitive_features=fitted[["sex"]],
        ids=fitted["person"],
    ).save("encoder")
    (step,) = [step for step in steps() if step.get("name") == "Audit"]
    left, out, err = run_step(step, command_line, folder)

    assert (left, err) == (code, "")
    assert out.splitlines()[-1].startswith(f"{word}: the largest parity gap")
    title = Path("summary").read_text(encoding="utf-8").splitlines()[2]
    assert title == f"## {word}: limit of 0.1 on the parity gap"
    assert ElementTree.parse("gate.xml").getroot().get("failures") == str(code)


def test_the_report_is_kept_if_the_gate_is_shut():
    kept = steps()[-1]

    assert kept["if"] == "always()"
    assert kept["with"]["path"] == "gate.xml"
