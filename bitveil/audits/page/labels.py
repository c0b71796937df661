"""Labels that several figures share."""

from bitveil.audits.page.marks import Axis, Mark
from bitveil.audits.probes import Probe
from bitveil.audits.rounding import at_least, at_most, percent
from bitveil.certificates.lower import Interval

__all__ = ["POINTS", "band", "between", "dot", "interval_text", "points_text", "probe_text"]

POINTS = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "points", "percentage points")


def band(interval: Interval) -> Mark:
    """Both bounds on a gap, as a band."""

    least, bound = interval.least, interval.certificate.bound
    says = (
        f"at least {at_least(least)} and at most {at_most(bound)} points, each bound wrong with "
        f"probability at most {interval.certificate.delta:g}"
    )

    return Mark(least, says, end=bound, kind="band")


def dot(interval: Interval) -> Mark:
    """The measured value of a quantity."""

    estimate = interval.certificate.estimate

    return Mark(estimate, f"measured: {percent(estimate)}")


def between(interval: Interval) -> str:
    """Both bounds on a gap, as text."""

    return f"{at_least(interval.least)} to {at_most(interval.certificate.bound)} points"


def probe_text(probe: Probe) -> str:
    """The scores of an attacker."""

    return f"{100 * probe.gap:.1f} points, AUC {probe.auc:.3f}"


def interval_text(interval: tuple[float, float] | None) -> str:
    """A bootstrap interval in brackets, or nothing."""

    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"


def points_text(share: float | None) -> str:
    """A share in points, or that there were no rows."""

    return "no rows" if share is None else f"{100 * share:.1f}"
