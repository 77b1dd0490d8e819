"""ntklin beside other libraries: its own turn, a peer's process, its own turn, the next peer, …"""

import statistics
import warnings
from dataclasses import dataclass, field

import numpy as np

import ntklin
from ntklin.edge.files.archives import read_array
from ntklin.validation.benchmarks import gates
from ntklin.validation.benchmarks.peers import run_peer
from ntklin.validation.benchmarks.timing import take_turn

# What the peers' training does before it reports the loss: 3 steps to warm up and 5 × 50 that are
# timed, at this learning rate; the loss is the one before the last step.
PEER_STEPS = 253
PEER_LEARNING_RATE = 1e-3
PEER_OPTIMIZERS = {
    "gd_step": ntklin.GradientDescent(PEER_LEARNING_RATE),
    "adagrad_step": ntklin.AdaGrad(PEER_LEARNING_RATE),
    "adam_step": ntklin.Adam(PEER_LEARNING_RATE),
}
# 3 to warm up and 3 × 40 that are timed, or 3 × 200 in case A and float64.
PEER_LINEARIZED_STEPS = (123, 603)
# That learning rate is above the stability bound at first, and the loss rises a hundredfold before
# it falls: rounding is amplified on the way. The adaptive methods divide gradients by their size,
# which leaves few digits of the small ones.
LOSS_TOLERANCE = {
    ("gd_step", "float64"): 1e-9,
    ("gd_step", "float32"): 2e-2,
    ("adagrad_step", "float64"): 1e-6,
    ("adagrad_step", "float32"): 5e-2,
    ("adam_step", "float64"): 1e-6,
    ("adam_step", "float32"): 5e-2,
}


@dataclass(eq=False)
class Comparison:
    """What was measured for the targets of one group.

    Attributes
    ----------
    group : tuple
        Work, case, dtype, N.
    own : list of dict
        ntklin's turns in order: (variant, inputs) → median seconds.
    timings : dict
        (variant, inputs) → Timing of all of ntklin's turns.
    runs : list of dict
        The peers' rows in order: ``peer``, ``before`` (the index of the own turn before it; the one
        after it is next), and what the peer printed.
    """

    group: tuple
    own: list = field(default_factory=list)
    timings: dict = field(default_factory=dict)
    runs: list = field(default_factory=list)

    def ratio(self, run, key):
        """The peer's median over the mean of ntklin's turns on both sides of it, or None."""
        if run.get("failed") or run["before"] + 1 >= len(self.own):
            return None
        around = [self.own[run["before"] + side].get(key) for side in (0, 1)]
        return run["median_s"] / statistics.mean(around) if all(around) else None

    def record(self):
        """As written to the JSON."""
        work, case, dtype, n = self.group
        own = [
            {f"{variant}|{inputs}": 1e3 * s for (variant, inputs), s in turn.items()}
            for turn in self.own
        ]
        return {
            "work": work,
            "case": case,
            "dtype": dtype,
            "n": n,
            "own_ms": own,
            "own": {
                f"{variant}|{inputs}": timing.summary()
                for (variant, inputs), timing in self.timings.items()
                if timing.turns
            },
            "peers": [run | {"peer": str(run["peer"])} for run in self.runs],
        }


def interleave(comparison, rows, peers, rounds, seconds, folders, threads, reference, tick):
    """Run the peers of one group, each between two turns of ntklin.

    Parameters
    ----------
    comparison : Comparison
        Filled as the run proceeds, so that an interruption keeps it.
    rows : list of Row
        ntklin's, gates passed.
    peers : list of Peer
    rounds : int
    seconds : float
        ntklin's shortest turn.
    folders : PeerFolders
    threads : int
    reference : Reference
        Of the problem that the peers work on.
    tick : callable
        Called with a text before each step.
    """
    agreement = {}
    own_turn(comparison, rows, seconds, tick)
    for r in range(rounds):
        for peer in peers if r % 2 == 0 else reversed(peers):
            if agreement.get(peer):
                continue
            tick(f"{comparison.group[0]}: {peer}")
            before = len(comparison.own) - 1
            result = run_peer(peer, comparison.group, folders, threads)
            if peer not in agreement:
                agreement[peer] = result.get("failed") or agree(
                    result, comparison.group, reference, peer
                )
            result.pop("result_file", None)
            if agreement[peer]:
                result["failed"] = agreement[peer]
            comparison.runs.append({**result, "peer": peer, "round": r, "before": before})
            if not result.get("failed"):
                own_turn(comparison, rows, seconds, tick)


def own_turn(comparison, rows, seconds, tick):
    """One turn of each of ntklin's rows."""
    turn = {}
    for row in rows:
        tick(f"{row.label}: ntklin")
        key = row.facts["variant"], row.facts["inputs"]
        comparison.timings[key] = row.timing
        turn[key] = take_turn(row.task, seconds, row.timing)
    comparison.own.append(turn)


def agree(result, group, reference, peer=None):
    """Check a peer's result; return why it does not count, or an empty text.

    The error and its tolerance are added as ``result["agreement"]``, unless the peer passes nothing
    that could be checked.
    """
    try:
        check = peer_check(result, group, reference, peer)
    except (OSError, ValueError) as e:
        return f"its result cannot be read: {e}"
    if check is None:
        return ""
    result["agreement"] = {"error": check.error, "tolerance": check.tolerance}
    if check.passed:
        return ""
    return f"disagrees: relative error {check.error:.2g} exceeds {check.tolerance:.2g}"


def peer_check(result, group, reference, peer=None):
    """The ``Check`` of a peer's result, or None."""
    work, dtype = group[0], group[2]
    if work in PEER_OPTIMIZERS and "loss" in result:
        if work == "adagrad_step" and peer is not None and peer.library == "JAX":
            return None  # optax starts AdaGrad's sum at 0.1: the same work, other numbers
        expected = final_loss(reference, PEER_OPTIMIZERS[work])
        return gates.Check(abs(result["loss"] / expected - 1), LOSS_TOLERANCE[work, dtype])
    if "result_file" not in result:
        return None
    array = read_array(result["result_file"])
    if work == "linearized_step":
        return check_linearized(reference, array)
    if work == "gram":
        return gates.check_kernel(reference, array, reference.gram)
    if work == "weighted_gram":
        return gates.check_kernel(reference, array, reference.weighted_gram)
    if work == "jacobian":
        return gates.check_jacobian_probe(reference, array)
    return None


def final_loss(reference, optimizer):
    """The loss that the peers' training reports, from ntklin in float64."""
    p = reference.problem
    theta, X, Y = (a.astype(float) for a in (p.theta, p.X, p.Y))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)  # at that rate it rises
        return ntklin.train(p.net, theta, X, Y, optimizer, steps=PEER_STEPS - 1).losses[-1]


def check_linearized(reference, actual):
    """The first entries of θ_t − θ_0 after the peers' steps, against ntklin in float64."""
    p = reference.problem
    theta, X, Y = (a.astype(float) for a in (p.theta, p.X, p.Y))
    steps = PEER_LINEARIZED_STEPS[p.case.name == "A" and p.dtype == np.float64]
    lin = ntklin.linearize(p.net, theta, X)
    run = lin.train(Y, PEER_OPTIMIZERS["adagrad_step"], steps=steps)
    expected = run.displacement[: len(actual)]
    tolerance = LOSS_TOLERANCE["adagrad_step", p.dtype.name]
    return gates.Check(gates.relative_error(actual, expected), tolerance)
