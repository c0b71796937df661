"""The GitHub Actions example of the pages: its steps run here, all but the installation."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml

import bitveil
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


@pytest.fixture
def folder(tmp_path):
    """What the workflow expects to find, and `bitveil` on the path."""

    rows(2000, 1).to_csv(tmp_path / "new_people.csv", index=False)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "bitveil"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m bitveil "$@"\n')
    command.chmod(0o755)
    (tmp_path / "summary").touch()  # the runner makes it

    return tmp_path


def run_steps(folder):
    """Run each step as the runner does, until one fails: the exit code and what was printed."""

    ran = []
    for step in steps():
        if "run" not in step or step["name"] == "Install bitveil":
            continue
        ran.append(step["name"])
        env = {
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(bitveil.__file__).parents[1]),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            **step.get("env", {}),
        }
        words = ["bash", "-e", "-c", step["run"]]
        done = subprocess.run(
            words, cwd=folder, env=env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            break
    assert ran == ["Audit"]

    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("feature", "code", "word"), [("skill", 0, "Kept"), ("height", 1, "Broken")]
)
def test_the_workflow_lets_good_codes_pass_and_stops_others(folder, feature, code, word):
    fitted = rows(400, 0)
    model = quick(n_bits=2, key=KEY, strength=0.0, epochs=10)
    y = np.where(fitted[feature] > fitted[feature].median(), "yes", "no")
    model.fit(
        fitted[[feature]],
        pd.Series(y, name="hired"),
        sensitive_features=fitted[["sex"]],
        ids=fitted["person"],
    ).save(folder / "encoder")
    left, said = run_steps(folder)

    assert left == code, said
    assert (folder / "summary").read_text().splitlines()[
        2
    ] == f"## {word}: limit of 0.1 on the parity gap"
    assert ElementTree.parse(folder / "gate.xml").getroot().get("failures") == str(code)
    assert said.splitlines()[-1].startswith(f"{word}: the largest parity gap")


def test_the_report_is_kept_if_the_gate_is_shut():
    kept = steps()[-1]

    assert kept["if"] == "always()"
    assert kept["with"]["path"] == "gate.xml"
