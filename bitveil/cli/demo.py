"""`bitveil demo`: the main job on Adult, as a table of numbers and an audit."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from bitveil.cli.messages import CAVEAT, print_table
from bitveil.cli.options import Json
from bitveil.cli.progress import shown_steps

if TYPE_CHECKING:
    from bitveil.demo import Demo

__all__ = ["demo_command"]


def demo_command(
    json_: Json = False,
    seed: Annotated[int, typer.Option(help="The seed of the fit.")] = 0,
) -> None:
    """Fit, encode and audit the bundled Adult data: predict income above 50,000, hide sex."""

    from bitveil.demo import demo

    with shown_steps():
        found = demo(random_state=seed)
    if json_:
        print(json.dumps(found.to_dict()))
        return
    print_table(
        "Adult, official test rows; target: income above 50,000; sensitive: sex",
        _demo_lines(found),
    )
    print("\nAn audit of the codes of the test rows, with its own certificate:\n")
    print(found.audit)
    print(f"\n{CAVEAT}")


def _demo_lines(found: "Demo") -> dict[str, str]:
    return {
        "accuracy, no protection": f"{found.unprotected_accuracy:.3f} (boosting, raw columns)",
        "accuracy, published codes": f"{found.test_accuracy:.3f} ({found.n_bits} bits a row)",
        "certified gap": f"≤ {found.certified_gap:.2f} for any classifier of the codes, with "
        f"probability ≥ {1 - found.delta:g}",
        "measured gap": f"{found.empirical_gap:.3f} (no protection: {found.unprotected_gap:.3f})",
        "attacker of sex, raw columns": f"AUC {found.attacker_auc_raw:.3f} "
        "(better of linear and boosting)",
        "attacker of sex, codes": f"AUC {found.attacker_auc_codes:.3f} (guessing has 0.5)",
        "joint information": f"{found.joint_information_bits:.4f} bits of "
        f"{found.audit.entropy_bits:.3f} (exact for these rows)",
        "seconds": f"{found.seconds:.0f}",
    }
