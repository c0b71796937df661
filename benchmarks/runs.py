"""What the benchmarks share: options, and records of runs, so that an interrupted one resumes."""

import argparse
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

FOLDER = Path("benchmarks/records")


@dataclass(frozen=True)
class Runs:
    """A file with one JSON line for each run."""

    file: Path

    def __post_init__(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.touch()
        lines = self.file.read_text().splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):  # the last run was cut off
            self.file.write_text("".join(lines[:-1]))

    def read(self) -> list[dict[str, Any]]:
        """All records."""

        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def done(self, *names: str) -> set[tuple[Any, ...]]:
        """The values of some fields, for each record."""

        return {tuple(record[name] for name in names) for record in self.read()}

    def complete(
        self, run: Callable[..., dict[str, Any]], names: tuple[str, ...], cases: Iterable[Any]
    ) -> None:
        """Run the cases that have no record yet; the names say which fields a case gives."""

        done = self.done(*names)
        for case in cases:
            if case not in done:
                self.add(run(*case))

    def add(self, *records: dict[str, Any]) -> None:
        """Write records at the end of the file."""

        with self.file.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)

    def table(self) -> pd.DataFrame:
        """All records as a table."""

        return pd.read_json(self.file, lines=True)

    def report(
        self,
        table: Callable[[pd.DataFrame], str],
        draw: Callable[[pd.DataFrame, Path], None],
        figure: Path | None,
    ) -> None:
        """Print the table, and draw the figure if it has a path."""

        records = self.table()
        print(table(records))
        if figure is not None:
            draw(records, figure)


def options(
    description: str | None, name: str, *, seeds: int, figure: bool = False
) -> argparse.ArgumentParser:
    """A parser with the options `--records` and `--seeds`, and `--figure` if there is one."""

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--records", type=Path, default=FOLDER / f"{name}.jsonl")
    parser.add_argument("--seeds", type=int, default=seeds, help="how many; 0 runs nothing")
    if figure:
        parser.add_argument("--figure", type=Path, help="the file to draw into")

    return parser


def fill(page: Path, tables: dict[str, str]) -> None:
    """Write tables into a page. Each one replaces the text between its two comments."""

    text = page.read_text()
    for name, table in tables.items():
        start, end = f"<!-- table: {name} -->", "<!-- end -->"
        between = re.compile(f"{re.escape(start)}\n.*?{end}", re.DOTALL)
        if len(between.findall(text)) != 1:
            raise ValueError(f"{page} needs `{start}` once, and `{end}` after it.")
        whole = f"{start}\n\n{table}\n\n{end}"
        text = between.sub(lambda _, whole=whole: whole, text)
    page.write_text(text)
