"""Periods: what a monitor says after each, and why it raises an alarm."""

from dataclasses import dataclass
from typing import Any

from bitveil.certificates.lower import Interval

__all__ = ["MovedApart", "Period"]


@dataclass(frozen=True)
class MovedApart:
    """The groups that moved apart most certainly, and since when.

    Attributes:
        least: By how much at least: how much further the rates of two groups are apart, for
            classifiers of the code that earlier rows fixed. 0 or less: no drift is certain.
        measured: The same as it was measured, without slack.
        since: The name of the first of the periods that were compared with all before them.
        groups: The two groups.
        among: Among which rows they were compared, in words; None: all rows.
    """

    least: float
    measured: float
    since: str
    groups: tuple[str, str]
    among: str | None


@dataclass(frozen=True)
class Period:
    """What is known after a period.

    Attributes:
        number: Its number, from 1, in order of arrival.
        name: Its name.
        sizes: The number of rows of each group.
        interval: Both bounds on the quantity, each with the probability of this period.
        drift: The drift that is most certain; None for the first period, and where a group has too
            few rows.
        limit: The limit of the monitor, or None.
    """

    number: int
    name: str
    sizes: tuple[int, ...]
    interval: Interval
    drift: MovedApart | None
    limit: float | None

    @property
    def above(self) -> bool:
        """Whether this period is certainly above the limit."""

        return self.limit is not None and self.interval.least > self.limit

    @property
    def drifted(self) -> bool:
        """Whether groups have certainly moved apart."""

        return self.drift is not None and self.drift.least > 0

    @property
    def alarm(self) -> bool:
        """Whether there is an alarm."""

        return self.above or self.drifted

    @property
    def reasons(self) -> list[str]:
        """Why there is an alarm, in sentences."""

        said = []
        if self.above:
            worst = self.interval.certificate.quantity.worst
            said.append(
                f"{self.name}: the {worst} is certainly above {self.limit:g}: at least "
                f"{self.interval.least:.4f}."
            )
        if self.drift is not None and self.drifted:
            of = "" if self.drift.among is None else f" among the {self.drift.among}"
            said.append(
                f"{self.name}: the groups {self.drift.groups[0]} and {self.drift.groups[1]}{of} "
                f"have moved apart since {self.drift.since}: by at least {self.drift.least:.4f}, "
                f"measured {self.drift.measured:.4f}."
            )

        return said

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""

        interval, drift = self.interval, self.drift

        return {
            "number": self.number,
            "name": self.name,
            "sizes": list(self.sizes),
            "least": interval.least,
            "least_delta": interval.delta,
            "certificate": interval.certificate.to_dict(),
            "drift": None if drift is None else vars(drift),
            "above_limit": self.above,
            "drifted": self.drifted,
            "alarm": self.alarm,
            "reasons": self.reasons,
        }
