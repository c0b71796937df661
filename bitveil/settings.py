"""Settings: what a person can set about a fit, checked, and what follows from it."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from bitveil.checks import check_choice, check_number, check_probability, check_whole
from bitveil.columns.targets import Kind, Target
from bitveil.criteria import CRITERIA, Criterion, compares_within_strata, has_opportunity
from bitveil.frozen import check_key
from bitveil.goals import Goal, Weight
from bitveil.measures import MEASURES
from bitveil.quotes import quoted
from bitveil.tasks import (
    Term,
    task_accuracy,
    task_column,
    task_contents,
    task_information,
    task_usefulness,
)
from bitveil.training import Training

__all__ = ["LISTED", "Settings", "TaskName"]

TaskName: TypeAlias = Literal[
    "auto",
    "target",
    "target_accuracy",
    "target_information",
    "columns",
    "reconstruction",
    "information",
]

LISTED = 16
"""Codes with more bits than this are drawn rather than listed, unless told otherwise."""


ON_TARGET = ("target", "target_accuracy", "target_information")
"""The tasks that need a target."""

WITHOUT_TARGET = ("columns", "reconstruction", "information")
"""The tasks that read no target."""


@dataclass(frozen=True)
class Settings:
    """The settings of a fit: those of `InvariantEncoder`, which describes them.

    Attributes:
        targets: What the target may be: `"classes"`, `"numbers"`, or `"auto"` for either or none.
    """

    n_bits: int = 4
    max_gap: float | None = None
    max_information: float | None = None
    delta: float = 0.05
    on_unmet: Literal["dilute", "raise"] = "dilute"
    strength: float | None = None
    criterion: Criterion = "independence"
    positive: Any = None
    measure: str = "total_variation"
    prior: Literal["empirical", "uniform"] = "empirical"
    task: TaskName = "auto"
    features: Literal["auto", "posterior", "raw", "both"] = "auto"
    posteriors: Any = None
    bins: int = 5
    missing_sensitive: Literal["error", "group"] = "error"
    missing_target: Literal["error", "unlabelled"] = "error"
    training: Training = field(default_factory=Training)
    n_jobs: int | None = None
    key: bytes | None = field(default=None, repr=False)
    random_state: int | np.random.RandomState | None = None
    targets: Kind = "auto"

    @property
    def certifies(self) -> bool:
        """Whether a goal must be certified."""

        return self.max_gap is not None or self.max_information is not None

    @property
    def listed(self) -> bool:
        """Whether all codes are listed, and the table is the decoder."""

        return self.n_bits <= LISTED or self.training.engine == "exact"

    @property
    def engine(self) -> Literal["exact", "sampled"]:
        """How the measure is found."""

        if self.training.engine == "auto":
            return "exact" if self.listed else "sampled"
        return self.training.engine

    @property
    def weight(self) -> Weight:
        """The weight of the measure, where no goal must be certified."""

        return Weight(1.0 if self.strength is None else self.strength)

    def goal(self, target: Target) -> Goal | None:
        """What must be certified, for a fitted target; None where nothing must be."""

        positive = self.positive_number(target)
        if self.max_gap is not None:
            return Goal(self.max_gap, "gap", self.criterion, self.delta, positive)
        if self.max_information is not None:
            return Goal(self.max_information, "information", self.criterion, self.delta, positive)

        return None

    def serves(self, target: Target) -> bool:
        """Whether the code is to be useful for this target."""

        return bool(target.kinds) and self.task not in WITHOUT_TARGET

    def task_for(self, target: Target, shape: tuple[int, ...]) -> str:
        """What the code is to be useful for, if rows have this shape.

        Without a target that is the columns of a table. Images have no columns, and a decoder of
        your own cannot know their classes: then it is a reconstruction.
        """

        if self.serves(target):
            return "target"
        if self.task in WITHOUT_TARGET:
            return self.task

        return "columns" if len(shape) == 1 and self.training.decoder is None else "reconstruction"

    def term_for(self, target: Target, shape: tuple[int, ...]) -> Term:
        """What makes a code useful, where its table decodes, if rows have this shape."""

        if self.serves(target):
            return self.target_term

        if self.task_for(target, shape) == "columns":
            return task_contents if self.certifies else task_column

        return task_information

    @property
    def target_term(self) -> Term:
        """What makes a code useful for its target, where the table decodes.

        With a goal it is half accuracy and half information. A weight is a price in nats, so there
        it is the information alone.
        """

        if self.task == "target_accuracy":
            return task_accuracy
        if self.task == "target_information" or not self.certifies:
            return task_information

        return task_usefulness

    def positive_number(self, target: Target) -> int:
        """The number of the target that is the opportunity; 0 for other criteria.

        Raises:
            ValueError: If the target is not one column of classes, or has no such class.
        """

        if not has_opportunity(self.criterion):
            return 0
        if len(target.kinds) != 1 or not target.classes:
            raise ValueError(
                "`criterion='equal_opportunity'` needs one target with classes, got "
                f"{list(target.kinds)}."
            )
        classes = target.classes[0].tolist()
        if self.positive is not None and self.positive not in classes:
            raise ValueError(
                f"`positive` expects one of {quoted(classes)}, got {quoted(self.positive)}."
            )

        return len(classes) - 1 if self.positive is None else classes.index(self.positive)

    def check(self) -> None:
        """Refuse settings that no fit can have.

        Raises:
            ValueError: That says which, what was expected, and what to do.
        """

        check_whole("n_bits", self.n_bits, 1)
        check_whole("bins", self.bins, 2)
        _check_n_jobs(self.n_jobs)
        if self.key is not None:
            if not isinstance(self.key, bytes):
                raise ValueError(f"`key` expects 16 to 64 bytes, got {type(self.key).__name__}.")
            check_key(self.key)
        check_probability("delta", self.delta)
        check_choice("criterion", self.criterion, CRITERIA)
        check_choice("measure", self.measure, list(MEASURES))
        check_choice("prior", self.prior, ("empirical", "uniform"))
        check_choice("task", self.task, get_args(TaskName))
        check_choice("on_unmet", self.on_unmet, ("dilute", "raise"))
        check_choice("features", self.features, ("auto", "posterior", "raw", "both"))
        check_choice("missing_sensitive", self.missing_sensitive, ("error", "group"))
        check_choice("missing_target", self.missing_target, ("error", "unlabelled"))
        if not isinstance(self.training, Training):
            raise ValueError(
                f"`training` expects a `bitveil.Training`, got {type(self.training).__name__}."
            )
        self.training.check()
        self._check_ignored()
        self._check_goal()

    def check_target(self, y: Any, name: str = "InvariantEncoder") -> None:
        """Refuse a target that does not suit the settings.

        Arguments:
            y: The target, or None.
            name: The name of the estimator, for errors.
        """

        if y is None and self.targets != "auto":
            raise ValueError(
                f"{name} requires y to be passed, but the target y is None. "
                "Without a target use `InvariantEncoder`."
            )
        if self.targets != "auto" and self.task in WITHOUT_TARGET:
            raise ValueError(
                f"{name} predicts its target, got `task={quoted(self.task)}`. For codes without "
                "predictions use `InvariantEncoder`."
            )
        if y is None and (compares_within_strata(self.criterion) or self.task in ON_TARGET):
            raise ValueError(
                f"`criterion={quoted(self.criterion)}` and `task={quoted(self.task)}` need a "
                "target, got `y=None`."
            )

    def _check_ignored(self) -> None:
        """Refuse settings that others leave without effect."""

        if self.features == "raw" and self.posteriors is not None:
            raise ValueError(
                "`posteriors` makes posterior features, got `features='raw'`, which have none. "
                "Use `features='posterior'` or 'both', or leave `posteriors` out."
            )
        decodes = self.training.decoder is not None or not self.listed
        if decodes and self.task in ("target_accuracy", "target_information"):
            raise ValueError(
                f"`task={quoted(self.task)}` needs codes that are listed and have no decoder, got "
                f"n_bits={self.n_bits}, decoder={quoted(self.training.decoder)}. A decoder learns "
                "by its cross-entropy: use `task='target'`."
            )

    def _check_goal(self) -> None:
        names = ("max_gap", "max_information", "strength")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"Set one goal, not several: got {' and '.join(given)}.")
        if self.strength is not None:
            check_number("strength", self.strength, least=0)
        if self.max_gap is not None:
            check_number("max_gap", self.max_gap, above=0, most=1)
        if self.max_information is not None:
            check_number("max_information", self.max_information, above=0, unit="a number of bits")
        if self.training.warm_start and self.certifies:
            raise ValueError(
                "`warm_start` starts from an encoder that may have seen the rows for "
                f"certification: fit anew with `{given[0]}`, or use `strength`."
            )
        if self.training.checkpoint is not None and not isinstance(
            self.random_state, int | np.integer
        ):
            raise ValueError(
                "`checkpoint` needs a whole number as `random_state`: without one the fit cannot "
                f"be started again in the same way, got {quoted(self.random_state)}."
            )


def _check_n_jobs(n_jobs: Any) -> None:
    if n_jobs is not None and (not isinstance(n_jobs, int | np.integer) or n_jobs == 0):
        raise ValueError(
            f"`n_jobs` expects how many cores to use, -1 for all, got {quoted(n_jobs)}."
        )
