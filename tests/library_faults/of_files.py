"""Faults of what is saved and read: runs that are gone on with, and other libraries' weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import ntklin
from library_faults.making import after, before, declare, instead, times
from ntklin.networks import exchange, flax_params, state_dicts
from ntklin.runs import batches
from ntklin.runs.optimizer import OptimizerState
from ntklin.theory import train_linearized
from ntklin.training import train

# Runs that are saved


def remembered(change: Callable[[OptimizerState], OptimizerState]) -> Callable[[Any], None]:
    """What an optimizer remembers is another state where a run goes on."""
    read = OptimizerState.from_arrays

    def restored(arrays: Any, like: Any) -> OptimizerState:
        return change(read(arrays, like))

    return instead(OptimizerState, "from_arrays", staticmethod(restored))


def without_slot(name: str) -> Callable[[OptimizerState], OptimizerState]:
    """Zeros in its place."""
    return lambda state: OptimizerState(
        state.count, {k: 0 * a if k == name else a for k, a in state.slots.items()}
    )


def at_step_0(state: OptimizerState) -> OptimizerState:
    """With a count that begins anew."""
    return OptimizerState(0, state.slots)


def from_its_start(source: Any, step: int, n: int) -> Any:
    """The batches of step 0 on."""
    return (source, 0, n), {}


def half_of_last_loss(run: Any, *rest: Any) -> Any:
    """The last loss is half of it."""
    losses = run.losses.copy()
    losses[-1] /= 2
    return replace(run, losses=losses)


declare(
    "section6/resumed",
    {
        "squares are lost where a run goes on": remembered(without_slot("squares")),
        "steps are counted anew where a run goes on": remembered(at_step_0),
        "batches begin anew where a run goes on": before(
            batches.Batches, "from_step", from_its_start
        ),
        "a saved run's last loss is halved": after(train, "read_run", half_of_last_loss),
        "a loaded run has other parameters": after(
            ntklin,
            "load_run",
            lambda run, *rest: replace(run, parameters=run.parameters[::-1].copy()),
        ),
    },
)
declare(
    "theorem3/resumed-linearized",
    {
        "a linearized run's squares are halved where it goes on": remembered(
            lambda state: OptimizerState(state.count, {k: a / 2 for k, a in state.slots.items()})
        ),
        "a linearized run's steps are counted anew": remembered(at_step_0),
        "a linearized run's last loss is halved": after(
            train_linearized, "read_linearized_run", half_of_last_loss
        ),
    },
)

# State dicts and trees


def in_other_order(tree: Any, *rest: Any) -> Any:
    """Kernels whose numbers stand column by column."""
    layers = tree["params"]
    return {
        "params": {
            name: layer | {"kernel": layer["kernel"].T.reshape(layer["kernel"].shape).copy()}
            for name, layer in layers.items()
        }
    }


def unscaled(net: Any, theta: Any) -> Any:
    """W^l and b^l without their scales."""
    return net.unpack(np.asarray(theta))


declare(
    "kernel-limit/exchanged",
    {
        "state dicts without w_l": instead(state_dicts, "own_layers", unscaled),
        "Flax's kernels without w_l": instead(flax_params, "own_layers", unscaled),
        "a state dict's weights column by column": after(
            ntklin,
            "to_state_dict",
            lambda sd, *rest: {k: a.T.reshape(a.shape).copy() for k, a in sd.items()},
        ),
        "Flax's kernels column by column": after(ntklin, "to_flax", in_other_order),
        "Flax's kernels as PyTorch's weights": instead(
            ntklin,
            "from_flax",
            lambda tree, f=ntklin.from_flax, **options: f(in_other_order(tree), **options),
        ),
        "θ of others is not over its scales": after(
            exchange,
            "_over",
            lambda a, given, scale, dtype: None if a is None else a * dtype.type(scale),
        ),
        "σ of others a hundredth off": after(exchange, "_sigma_of", times(1.01)),
        "a round trip in float32": after(
            ntklin,
            "to_state_dict",
            lambda sd, *rest: {k: a.astype(np.float32).astype(a.dtype) for k, a in sd.items()},
        ),
    },
)
