r"""Monitors: what codes reveal, period after period, and when to raise an alarm.

New people come every month, the world changes, and a certificate speaks of the rows that it was
made from. A monitor keeps the counts of every period (`bitveil.tallies.Tally`, which
`bitveil count` writes), in the order in which they arrive, and says after each:

- an **upper bound** on the gap in this period. With probability :math:`1 - \delta` all of them
  hold, however many periods there will be: period j has :math:`\delta_j = 6 \delta / \pi^2 j^2`;
- an **alarm**, if the gap of this period is certainly above the limit, or if the groups have
  certainly moved further apart since some earlier period. Half of :math:`\delta` is for each of
  the two, so with probability :math:`1 - \delta` no alarm is ever false.

*Above the limit*: the lower bound of the period (`bitveil.certificates.lower`) at
:math:`\delta_j / 2` is above the limit. *Drift*: the newest 1, 2, 3, 4, 6, 8, … periods are
compared with all before them, by `bitveil.certificates.drifts`. The tests after period j share
:math:`\delta_{j - 1} / 2`. A drift in the other direction, towards a smaller gap, is no alarm.

A period belongs to its own population, and the rows of all periods must be independent: a person
who occurs in two periods breaks that. Rows are compared within one file of counts only.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from bitveil.audits.words import group_name
from bitveil.certificates.compared import check_delta
from bitveil.certificates.drifts import Drift, certain_drift, drift_delta, windows
from bitveil.certificates.lower import Interval
from bitveil.certificates.quantities import Quantity, gap_of, quantity_named
from bitveil.certificates.sequence import nth_delta
from bitveil.checks import check_number
from bitveil.criteria import compared_strata, compares_within_strata
from bitveil.group_tables import GroupTables
from bitveil.periods import MovedApart, Period
from bitveil.staging import staged
from bitveil.tallies import Tally

__all__ = ["Monitor"]

_FORMAT = "bitveil.monitor/1"

_INDEX = "monitor.json"


class Monitor:
    """The counts of several periods, and what they say: see `bitveil.monitors`.

    Arguments:
        limit: The largest acceptable value of the quantity; None: no alarm but for drift.
        quantity: What is bounded, and limited; None: the gap by the criterion of the counts.
        delta: The probability that any of the upper bounds is wrong; the same that any alarm is
            false.

    Raises:
        ValueError: If delta is not between 0 and 1, or the limit is below 0.

    Example:
        >>> from bitveil.tallies import Counted, CountedPart
        >>> about = ("independence", 0, ("f", "m"), (), ("sex",), None)
        >>> counted = Counted("", 1, 1.0, "soft", *about)
        >>> def tally(apart, mark):
        ...     half = GroupTables.of([[1000.0 + apart, 1000.0 - apart], [1000.0, 1000.0]])
        ...     return Tally(counted, half, half, parts=(CountedPart("file", 8000, mark),))
        >>> monitor = Monitor(limit=0.1)
        >>> monitor.add("January", tally(50, 1))  # a gap of 0.025
        >>> monitor.add("February", tally(400, 2))  # a gap of 0.2
        >>> [period.alarm for period in monitor.periods]
        [False, True]
        >>> print(*monitor.periods[1].reasons, sep=chr(10))
        February: the largest gap of any classifier that sees the code is certainly above 0.1: ...
        February: the groups f and m have moved apart since February: by at least ..., measured ...
    """

    def __init__(
        self,
        limit: float | None = None,
        *,
        quantity: Quantity | None = None,
        delta: float = 0.05,
    ) -> None:
        check_delta(delta)
        if limit is not None:
            check_number("limit", limit, least=0)
        self.limit, self.delta = limit, delta
        self.quantity = quantity
        self.periods: list[Period] = []
        self._tallies: list[Tally] = []

    def __repr__(self) -> str:
        return f"Monitor(limit={self.limit}, delta={self.delta}, {len(self.periods)} periods)"

    @property
    def names(self) -> list[str]:
        """The names of the periods."""

        return [period.name for period in self.periods]

    @property
    def alarms(self) -> list[Period]:
        """The periods with an alarm."""

        return [period for period in self.periods if period.alarm]

    def add(self, name: str, counts: Tally) -> None:
        """Add the counts of the next period.

        Arguments:
            name: A name for the period, which no other has.
            counts: The counts of its rows, which no other period has.

        Raises:
            ValueError: If the name is taken, the counts were not checked, they are of another
                encoder or of rows that were added before, or a group has no rows.
        """

        self._check_name(name)
        if counts.marks is not None or not counts.parts:
            raise ValueError(
                f"The counts of {name!r} are of rows that were not checked. Count them with "
                "`bitveil count`, or with `bitveil.count_files.count_to`."
            )
        if self._tallies:
            try:
                Tally.total([*self._tallies, counts], name)
            except ValueError as error:
                raise ValueError(f"The period {name!r} cannot be added: {error}") from error
        quantity = self._quantity_of(counts)
        _check_groups_there(name, counts, quantity)
        period = self._judged(name, counts, quantity)
        self.quantity = quantity
        self._tallies.append(counts)
        self.periods.append(period)

    def pooled(self) -> Interval:
        r"""Both bounds from the rows of all periods together.

        They speak of one population, so they mean something only while there is no drift. They
        hold after every period at once: after period j each is wrong with probability
        :math:`\delta_j` at most.

        Raises:
            ValueError: If there are no periods.
        """

        if not self._tallies or self.quantity is None:
            raise ValueError("A monitor without periods has no rows. `add` the counts of one.")
        level = nth_delta(self.delta, len(self._tallies))

        return Tally.total(self._tallies, "The monitor").interval(self.quantity, level)

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"A period expects a name of letters or digits, got {name!r}.")
        if name in self.names:
            raise ValueError(
                f"There is a period {name!r} already. Periods are never rewritten: give the new "
                "one another name."
            )

    def _quantity_of(self, counts: Tally) -> Quantity:
        if self.quantity is not None:
            return self.quantity

        return gap_of(counts.counted.criterion, counts.counted.positive)

    def _judged(self, name: str, counts: Tally, quantity: Quantity) -> Period:
        number = len(self.periods) + 1
        level = nth_delta(self.delta, number)
        upper = counts.interval(quantity, level).certificate
        lower = counts.interval(quantity, level / 2).least
        sizes = tuple(counts.tables.rows.sum(0).tolist())
        interval = Interval(lower, upper, level / 2)

        return Period(
            number, name, sizes, interval, self._drift(name, counts, quantity), self.limit
        )

    def _drift(self, name: str, counts: Tally, quantity: Quantity) -> MovedApart | None:
        """The drift that is most certain, among all windows that end with this period."""

        tallies, names = [*self._tallies, counts], [*self.names, name]
        n = len(tallies)
        if n == 1:
            return None
        level = drift_delta(self.delta / 2, n)
        gap = gap_of(quantity.criterion, 1 if quantity.positive is None else quantity.positive)
        aligned = _Aligned(tallies)
        since = {n - w: aligned.since(n - w) for w in windows(n - 1)}
        found = [
            (certain_drift(aligned.before(start), parts, gap, delta=level), start)
            for start, parts in since.items()
            if _tells(parts[1:], gap)
        ]
        if not found:
            return None
        drift, start = max(found, key=lambda pair: pair[0].least)

        return _named(drift, names[start], counts, gap)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the monitor as a folder, or what is new of it into the folder that it came from.

        A period is a file of counts, which is written once. An index says their order, the limit
        and delta. It is replaced at the end, as a whole.

        Raises:
            ValueError: If the folder holds another monitor, or periods that this one lacks.
            FileExistsError: If the folder is no monitor.
        """

        place = Path(folder)
        written = self._check_prefix(place)
        place.mkdir(exist_ok=True)
        listed = written
        for period, tally in zip(
            self.periods[len(written) :], self._tallies[len(written) :], strict=True
        ):
            file = place / _file_of(period.number)
            with staged(file, overwrite=True) as path:  # not in the index, so nobody's
                tally.save(path)
            listed = [*listed, {"name": period.name, "file": file.name, "sha256": _sha256(file)}]
        quantity = None if self.quantity is None else self.quantity.described()
        content = {
            "format": _FORMAT,
            "limit": self.limit,
            "delta": self.delta,
            "quantity": quantity,
            "periods": listed,
        }
        with staged(place / _INDEX, overwrite=True) as path:
            path.write_text(json.dumps(content, indent=2), encoding="utf-8")

    def _check_prefix(self, place: Path) -> list[dict[str, str]]:
        """What the folder holds already, which must be the first periods of this monitor."""

        if not place.exists():
            return []
        if not (place / _INDEX).exists():
            if place.is_dir() and not any(place.iterdir()):
                return []
            raise FileExistsError(f"{place} exists and is no monitor. Name another folder.")
        kept = _read_index(place)
        names = [each["name"] for each in kept["periods"]]
        same = (kept["limit"], kept["delta"]) == (self.limit, self.delta)
        if not same or names != self.names[: len(names)]:
            raise ValueError(
                f"{place} holds another monitor, or was changed since this one was read: it has "
                f"limit {kept['limit']}, delta {kept['delta']} and the periods {names}."
            )
        for each, tally in zip(kept["periods"], self._tallies, strict=False):
            if Tally.load(place / each["file"]).parts != tally.parts:
                raise ValueError(f"{place} holds other rows as {each['name']!r}.")

        return list(kept["periods"])

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Monitor":
        """Read a monitor that `save` wrote. All bounds and alarms are computed again.

        Raises:
            FileNotFoundError: If the folder is no monitor, or a file is missing.
            ValueError: If a file was changed or damaged.
        """

        place = Path(folder)
        kept = _read_index(place)
        try:
            about = kept["quantity"]
            quantity = None if about is None else quantity_named(**about)
            monitor = cls(kept["limit"], quantity=quantity, delta=kept["delta"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{place / _INDEX} was changed, or is damaged: {error}") from error
        for each in kept["periods"]:
            monitor.add(each["name"], _read_counts(place / each["file"], each["sha256"]))

        return monitor


class _Aligned:
    """The counts of several periods, with a column for every code that occurs in any of them."""

    def __init__(self, tallies: Sequence[Tally]) -> None:
        whole = tallies[0].tables
        for each in tallies[1:]:
            whole = whole + each.tables
        self.empty, self.tallies = whole.without_rows(), tallies

    @cached_property
    def sums(self) -> list[GroupTables]:
        """The counts of the first periods, for each number of them."""

        return [*accumulate(self._whole(each) for each in self.tallies)]

    def before(self, start: int) -> GroupTables:
        """The counts of all periods before one."""

        return self.sums[start - 1]

    def since(self, start: int) -> list[GroupTables]:
        """The counts of a period in two halves, and of each period after it."""

        first, others = self.tallies[start], self.tallies[start + 1 :]
        halves = [self.empty + each for each in (first.fixed, first.scored)]

        return [*halves, *map(self._whole, others)]

    def _whole(self, tally: Tally) -> GroupTables:
        return self.empty + tally.tables


def _named(drift: Drift, since: str, counts: Tally, gap: Quantity) -> MovedApart:
    """A drift with the names of groups and target, of codes as they are published."""

    first, second = (group_name(counts.counted.groups[number]) for number in drift.groups)
    among = _compared_rows(counts, gap)[drift.stratum]

    return MovedApart(
        drift.least * counts.coin, drift.measured * counts.coin, since, (first, second), among
    )


def _compared_rows(counts: Tally, quantity: Quantity) -> list[str | None]:
    """Among which rows groups are compared, in words, one table after the other; None: all."""

    counted = counts.counted
    if not compares_within_strata(quantity.criterion):
        return [None]
    strata = compared_strata(quantity.criterion, len(counted.targets), quantity.positive or 0)
    target = group_name(counted.target)

    return [f"rows whose {target} is {group_name(value)}" for value in counted.targets[strata]]


def _check_groups_there(name: str, counts: Tally, quantity: Quantity) -> None:
    """Refuse a period that lacks a group which must be compared."""

    tables = quantity.compared(counts.tables)
    for among, compared in zip(_compared_rows(counts, quantity), tables, strict=True):
        for group, n in zip(counts.counted.groups, compared.sizes, strict=True):
            if not n:
                about = "" if among is None else f" among the {among}"
                raise ValueError(
                    f"The period {name!r} has no row of the group {group_name(group)}{about}, so "
                    "nothing can be said of its gap. Add it together with the next period: "
                    "`bitveil merge` makes one file of both."
                )


def _tells(parts: Sequence[GroupTables], gap: Quantity) -> bool:
    """Whether there are rows of every group that is compared."""

    several = [[each.sizes for each in gap.compared(part)] for part in parts]

    return all(
        sum(sizes) > 0
        for stratum in zip(*several, strict=True)
        for sizes in zip(*stratum, strict=True)
    )


def _read_index(place: Path) -> dict[str, Any]:
    """The index of a monitor's folder, checked."""

    path = place / _INDEX
    if not path.is_file():
        raise FileNotFoundError(f"{place} is not a monitor: it has no {_INDEX}.")
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}, and {_FORMAT!r} was expected")
        expected = {"format", "limit", "delta", "quantity", "periods"}
        if set(content) != expected:
            raise ValueError(f"it expects the entries {sorted(expected)}")
        for number, each in enumerate(content["periods"], 1):
            if set(each) != {"name", "file", "sha256"} or each["file"] != _file_of(number):
                raise ValueError(f"its period {number} is not described as it should be")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} was changed, or is damaged: {error}.") from error

    return dict(content)


def _file_of(number: int) -> str:
    return f"{number:04d}.counts"


def _read_counts(file: Path, expected: str) -> Tally:
    """The counts in a file, which must be as it was written."""

    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing: the monitor is not whole.")
    if _sha256(file) != expected:
        raise ValueError(f"{file} was changed after it was added. A period is never rewritten.")

    return Tally.load(file)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
