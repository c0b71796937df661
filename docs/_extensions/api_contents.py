"""The contents of the API, written at each build: modules by subject, and then all new ones."""

from importlib.util import find_spec
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

FIRST = (
    "models.InvariantClassifier models.InvariantRegressor estimators.InvariantEncoder "
    "training.Training models.load audits.runner.audit audits.page.html.html_report "
    "layers.StochasticBinary certificates.upper.certify group_tables.GroupTables".split()
)
"""What most people need."""

SECTIONS = {
    "Estimators": "estimators models model_audits mixtures plots cards",
    "Before a fit, and over time": (
        "plans leaks tries monitors periods compositions certificates.drifts"
    ),
    "Rows of any number": (
        "sources streams tallies stream_audits samples clusters code_files count_files jobs "
        "writers"
    ),
    "Audits": (
        "audits.runner audits.record audits.verdicts audits.prices audits.meaning audits.parts "
        "audits.patterns audits.follows audits.page.html audits.published audits.probes "
        "audits.attacks audits.uses audits.families audits.fairness"
    ),
    "Certificates": (
        "certificates certificates.quantities certificates.upper certificates.lower "
        "certificates.sequence certificates.dilution certificates.slacks certificates.planning "
        "certificates.other_bounds"
    ),
    "Data sets": (
        "datasets.load_adult datasets.load_bank_marketing datasets.load_census_income "
        "datasets.load_communities_crime datasets.load_compas datasets.load_credit_card "
        "datasets.load_german_credit datasets.load_heritage_health datasets.load_law_school "
        "datasets.fetch_mnist datasets.make_biased_mnist datasets.dataset datasets.catalogue "
        "datasets.worlds datasets.worlds.bits datasets.worlds.gaussian datasets.worlds.physics "
        "datasets.files"
    ),
    "The mathematics": (
        "codes tables group_tables information entropies finite_samples wide_codes blocks "
        "gradients layers criteria batches measures tasks objectives checkpoints teams "
        "shared_batches processes training"
    ),
    "A fit, and what becomes of it": (
        "settings fitting schema columns.table columns.kinds columns.labels columns.groups "
        "columns.targets rows features networks goals cells trainers search remarks coder "
        "decoders frozen folders exports exports.whole exports.columns exports.predictions "
        "exports.fpga exports.wires saving"
    ),
    "Other methods, and the benchmark": (
        "baselines.baseline baselines.neural baselines.limited baselines.paper "
        "baselines.unprotected baselines.adversary baselines.cvib baselines.fcrl "
        "baselines.characteristic baselines.distance_covariance baselines.tree baselines.kmeans "
        "baselines.boosting baselines.ceiling baselines.exponentiated baselines.leace "
        "baselines.correlation baselines.prototypes benchmark.protocol benchmark.methods "
        "benchmark.run benchmark.scoring benchmark.fronts benchmark.standings benchmark.plots "
        "benchmark.report"
    ),
}
"""Modules by subject, and functions of the data sets, which load when they are used."""

INSIDE = (
    "__main__ audits audits.given audits.glance audits.headlines audits.held_out audits.notes "
    "audits.page audits.readings audits.rounding audits.summaries audits.words baselines "
    "baselines.inputs baselines.networks benchmark benchmark.command benchmark.document "
    "benchmark.intervals benchmark.losses benchmark.overview benchmark.published "
    "benchmark.sections cautions certificates.attackers certificates.compared checks cli "
    "columns columns.attribute columns.bins columns.cells columns.files columns.fitted "
    "columns.names columns.printing columns.reading columns.values datasets delimited demo "
    "fingerprints forests inspection learners notebooks posteriors pricing quotes repeats "
    "saved_schema shapes shares specimens spills staging steps workers".split()
)
"""Modules that only others use. They have no page."""

WITHIN = ("audits.page.", "cli.", "datasets.")
"""Folders of which only the listed modules have a page."""


def modules() -> list[str]:
    """All modules of the package, without its name."""

    import bitveil

    return [
        name.removeprefix("bitveil.") for _, name, _ in walk_packages(bitveil.__path__, "bitveil.")
    ]


def others() -> list[str]:
    """The modules that stand nowhere above: new ones."""

    known = {*INSIDE, *" ".join(SECTIONS.values()).split()}

    return [name for name in modules() if name not in known and not name.startswith(WITHIN)]


def there(name: str) -> bool:
    """Whether there is such a module, or a function of the data sets."""

    if name.startswith("datasets.") and name.count(".") == 1:
        import bitveil.datasets as datasets

        if hasattr(datasets, name.removeprefix("datasets.")):
            return True
    try:
        return find_spec(f"bitveil.{name}") is not None
    except ModuleNotFoundError:
        return False


def summary(names: list[str], *, pages: bool = True) -> str:
    """A table with a line for each name."""

    lines = [".. autosummary::", *(["   :toctree: api"] if pages else []), "   :nosignatures:", ""]

    return "\n".join([*lines, *(f"   {'' if pages else '~'}bitveil.{name}" for name in names)])


def contents() -> str:
    """The page of contents."""

    sections = SECTIONS | {"Others": " ".join(others())}
    parts = [
        "API\n===",
        "Most people need only these:",
        summary(FIRST, pages=False),
        "All modules follow, each with a page. Each of its objects has a page, too.",
    ]
    for title, names in sections.items():
        if present := [name for name in names.split() if there(name)]:
            parts += [f"{title}\n{'-' * len(title)}", summary(present)]

    return "\n\n".join(parts) + "\n"


def write(app: Any, config: Any) -> None:
    """Write the page, if it is new."""

    file, text = Path(app.srcdir) / "api.rst", contents()
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Do it before Sphinx looks for pages, since those of the modules are made from it."""

    app.connect("config-inited", write)

    return {"parallel_read_safe": True, "parallel_write_safe": True}
