"""Attribute: the columns of a sensitive attribute, with a wish for the groups of a fit."""

from dataclasses import dataclass
from typing import Any

from bitveil.checks import check_whole

__all__ = ["Attribute"]


@dataclass(frozen=True)
class Attribute:
    """The columns of a sensitive attribute, and what an encoder does with their groups.

    Give it to `fit` as `sensitive_features`. Audits and everything else take the columns alone,
    since the fitted encoder remembers what it did. How many rows a group has decides whether it is
    joined, and never a code. The certificate is then about a joined group that is mixed as in
    these rows.

    Attributes:
        table: An array, a Series, or a DataFrame with one or more columns.
        join_rare: Groups of fewer rows than this are joined into one, which is called
            "other (joined)". Several columns are taken together: a group is then a combination of
            their values, and the joined group has that name in each column. 0: none is joined.
        cut_numbers: Whether every column of numbers with more values than `bins` is cut into bins,
            and not only those with more than 20 values.

    Raises:
        ValueError: If `join_rare` is no whole number, or 1, which joins nothing.

    Example:
        >>> from bitveil import InvariantEncoder, Training
        >>> rng = np.random.default_rng(0)
        >>> X, y = rng.normal(size=(400, 2)), rng.integers(2, size=400)
        >>> race = pd.Series(["a"] * 200 + ["b"] * 160 + ["c"] * 30 + ["d"] * 10)
        >>> quick = Training(epochs=1)
        >>> encoder = InvariantEncoder(2, features="raw", training=quick, random_state=0)
        >>> encoder.fit(X, y, sensitive_features=Attribute(race, join_rare=40)).groups_.tolist()
        ['a', 'b', 'other (joined)']
        >>> encoder.sensitive_groups(pd.Series(["d", "a"])).tolist()
        ['other (joined)', 'a']
    """

    table: Any
    join_rare: int = 0
    cut_numbers: bool = False

    def __post_init__(self) -> None:
        if self.join_rare != 0:
            check_whole("join_rare", self.join_rare, 2)

    @classmethod
    def of(cls, columns: Any) -> "Attribute":
        """An attribute as it is, and columns as an attribute without a wish."""

        return columns if isinstance(columns, cls) else cls(columns)
