"""ntklin beside other libraries: its own turn, a peer's process, its own turn, the next peer."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

import ntklin
from ntklin.edge.files.archives import read_array
from ntklin.validation.arrays import Array
from ntklin.validation.benchmarks import gates
from ntklin.validation.benchmarks.cases import Group
from ntklin.validation.benchmarks.measure import Row
from ntklin.validation.benchmarks.peers import Peer
from ntklin.validation.benchmarks.plain import Reference
from ntklin.validation.benchmarks.timing import Timing, take_turn

# Variant and inputs.
Key = tuple[str, str]

# What the peers' training does before it reports the loss: 3 steps to warm up and 5 × 50 that are
# timed, at this learning rate; the loss is the one before the last step.
PEER_STEPS = 253
PEER_LEARNING_RATE = 1e-3
# A tenth of it where a smooth network would diverge.
PEER_SHARES = {"Atanh": 0.1}
# 3 to warm up and 3 × 40 that are timed, or 3 × 200 in case A and float64.
PEER_LINEARIZED_STEPS = (123, 603)
# That learning rate is above the stability bound at first, and the loss rises a hundredfold before
# it falls: rounding is amplified on the way. The adaptive methods divide gradients by their size,
# which leaves few digits of the small ones.
TOLERANT = {"float64": 1e-6, "float32": 5e-2}
TRAINING = {
    "gd_step": (ntklin.GradientDescent(PEER_LEARNING_RATE), {"float64": 1e-9, "float32": 2e-2}),
    "adagrad_step": (ntklin.AdaGrad(PEER_LEARNING_RATE), TOLERANT),
    "adam_step": (ntklin.Adam(PEER_LEARNING_RATE), TOLERANT),
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

    group: Group
    own: list[dict[Key, float]] = field(default_factory=list)
    timings: dict[Key, Timing] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)

    def take_turns(
        self, rows: Sequence[Row], seconds: float, tick: Callable[[str], object]
    ) -> None:
        """One turn of each of ntklin's rows, whose shortest is given."""
        turn = {}
        for row in rows:
            tick(f"{row.label}: ntklin")
            key = row.facts["variant"], row.facts["inputs"]
            self.timings[key] = row.timing
            turn[key] = take_turn(row.way, seconds, row.timing)
        self.own.append(turn)

    def ratio(self, run: dict[str, Any], key: Key) -> float | None:
        """The peer's median over the mean of ntklin's turns on both sides of it, or None."""
        if run.get("failed") or run["before"] + 1 >= len(self.own):
            return None
        around = [self.own[run["before"] + side].get(key) for side in (0, 1)]
        return run["median_s"] / statistics.mean(around) if all(around) else None

    def record(self) -> dict[str, Any]:
        """As written to the JSON."""
        return {
            **dict(zip(("work", "case", "dtype", "n"), self.group, strict=True)),
            "own_ms": [{"|".join(key): 1e3 * s for key, s in turn.items()} for turn in self.own],
            "own": {
                "|".join(key): timing.summary()
                for key, timing in self.timings.items()
                if timing.turns
            },
            "peers": [run | {"peer": str(run["peer"])} for run in self.runs],
        }


def interleave(
    comparison: Comparison,
    rows: Sequence[Row],
    peers: Sequence[Peer],
    rounds: int,
    seconds: float,
    call: Callable[[Peer], dict[str, Any]],
    referee: Referee,
    tick: Callable[[str], object],
) -> None:
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
    call : callable
        From a peer to what it printed.
    referee : Referee
    tick : callable
        Called with a text before each step.
    """
    objections = {}
    comparison.take_turns(rows, seconds, tick)
    for r in range(rounds):
        for peer in peers if r % 2 == 0 else reversed(peers):
            if objections.get(peer):
                continue
            tick(f"{comparison.group[0]}: {peer}")
            before = len(comparison.own) - 1
            result = call(peer)
            if peer not in objections:
                objections[peer] = result.get("failed") or referee.objection(result, peer)
            result.pop("result_file", None)
            if objections[peer]:
                result["failed"] = objections[peer]
            comparison.runs.append({**result, "peer": peer, "round": r, "before": before})
            if not result.get("failed"):
                comparison.take_turns(rows, seconds, tick)


class Referee:
    """Checks what peers of one group print.

    Parameters
    ----------
    group : tuple
        Work, case, dtype, N.
    reference : Reference
        Of the problem that the peers work on.
    """

    def __init__(self, group: Group, reference: Reference) -> None:
        self.work, _, self.dtype, _ = group
        self.reference = reference

    def objection(self, result: dict[str, Any], peer: Peer | None = None) -> str:
        """Why a peer's result does not count, or an empty text.

        The error and its tolerance are added as ``result["agreement"]``, unless the peer passes
        nothing that could be checked.

        Returns
        -------
        str
        """
        try:
            found = self.agreement(result, peer)
        except (OSError, ValueError) as e:
            return f"its result cannot be read: {e}"
        if found is None:
            return ""
        result["agreement"] = {"error": found.error, "tolerance": found.tolerance}
        return f"disagrees: {found.failure}" if found.failure else ""

    def agreement(self, result: dict[str, Any], peer: Peer | None = None) -> gates.Agreement | None:
        """The ``Agreement`` of a peer's result, or None."""
        if self.work in TRAINING and "loss" in result:
            if self.work == "adagrad_step" and peer is not None and peer.library == "JAX":
                return None  # optax starts AdaGrad's sum at 0.1: the same work, other numbers
            tolerance = TRAINING[self.work][1][self.dtype]
            return gates.Agreement(abs(result["loss"] / self.final_loss - 1), tolerance)
        gate = {
            "linearized_step": self.linearized,
            "gram": gates.gram,
            "weighted_gram": gates.weighted_gram,
            "jacobian": gates.jacobian_probe,
        }.get(self.work)
        if "result_file" not in result or gate is None:
            return None
        return gate(self.reference, read_array(result["result_file"]))

    @cached_property
    def final_loss(self) -> float:
        """The loss that the peers' training reports, from ntklin in float64."""
        p, (optimizer, _) = self.reference.problem, TRAINING[self.work]
        share = PEER_SHARES.get(p.case.name)
        if share is not None:
            optimizer = ntklin.GradientDescent(share * PEER_LEARNING_RATE)
        theta, X, Y = (a.astype(float) for a in (p.theta, p.X, p.Y))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)  # at that rate it rises
            return ntklin.train(p.net, theta, X, Y, optimizer, steps=PEER_STEPS - 1).losses[-1]

    def linearized(self, reference: Reference, actual: Array) -> gates.Agreement:
        """The first entries of θ_t − θ_0 after the peers' steps, against ntklin in float64."""
        p, (optimizer, tolerance) = reference.problem, TRAINING["adagrad_step"]
        theta, X, Y = (a.astype(float) for a in (p.theta, p.X, p.Y))
        steps = PEER_LINEARIZED_STEPS[p.case.name == "A" and p.dtype == np.float64]
        run = ntklin.linearize(p.net, theta, X).train(Y, optimizer, steps=steps)
        error = gates.relative_error(actual, run.displacement[: len(actual)])
        return gates.Agreement(error, tolerance[p.dtype.name])
