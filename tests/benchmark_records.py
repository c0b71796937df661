"""Records of a benchmark that never ran, for the tests of its fronts and its report."""

SLACK = 0.03
"""The slack of each certificate."""


def record(accuracy, gap, *, method="bitveil", seed=0, trial=0, bound=True, dataset="toy", **more):
    """A record of what its arguments say, on all rows alike. Half of the rows have each target."""

    n, right = 1000, round(250 * accuracy)
    counts = [right, 250 - right, 250 - right, right] * 2
    found = {
        **{"dataset": dataset, "method": method, "seed": seed, "trial": trial},
        **{"configurations": 2, "delta": 0.05, "settings": {"gamma": 0.1 * trial + 0.1}},
        **{"date": "2026-01-01", "python": "3", "bitveil": "1", "torch": "2", "numpy": "2"},
        **{"scikit-learn": "1", "seconds": 1.0, "seconds_scoring": 0.5, "seconds_shared": 0.0},
        **{f"rows_{part}": n for part in ("fit", "select", "certify", "test")},
        **{"groups": ["a", "b"], "rows_certify_by_group": [4000, 4000]},
        **{"status": "done", "test_majority": 0.5, "test_attack_family": "linear"},
    }
    for part in ("select", "test"):
        for name in ("accuracy", "auc", "impact"):
            found[f"{part}_{name}"] = accuracy
        for name in ("gap", "attack_gap", "true_positive_rate", "false_positive_rate"):
            found[f"{part}_{name}"] = gap
        found[f"{part}_attack_auc"] = 0.5 + gap / 2
        found[f"{part}_counts_linear"] = counts
        found[f"{part}_log_loss"] = 1.0 - accuracy
    if bound:
        found |= {f"{part}_variation": gap for part in ("select", "certify", "test")}
        found |= {f"{part}_task_bits": accuracy - 0.5 for part in ("select", "test")}
        found |= {"test_information_bits": gap**2, "test_neuron_bits": 0.0}
        found |= {"bound": gap + SLACK + 0.01, "bound_alone": gap + SLACK}

    return found | more


def against(method="fcrl", accuracy=0.8, ours=0.7, **more):
    """bitveil and another method, at the same gap, beside no protection."""

    free = [record(0.9, 0.5, method="unprotected", seed=s, bound=False) for s in range(2)]
    mine = [record(ours, 0.05, seed=s) for s in range(2)]

    return [*free, *mine, *(record(accuracy, 0.05, method=method, seed=s, **more) for s in (0, 1))]
