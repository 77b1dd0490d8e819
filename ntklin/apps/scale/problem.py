"""Which minimizers are asked for: a network, its θ_0, data, and numbers of training points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from ntklin.apps.options.declared import checked
from ntklin.apps.options.scale import ManyDataOptions, ScaleSettings
from ntklin.data import Dataset
from ntklin.edge.arrays import Array
from ntklin.networks.mlp import MLP


@dataclass(frozen=True, eq=False)
class Problem:
    """One network at one θ_0, and the first N of its training points for several N.

    Attributes
    ----------
    settings : ScaleSettings
    data : Dataset
    data_seed : int
    sizes : tuple of int
        N, increasing.
    network : MLP
    """

    settings: ScaleSettings
    data: Dataset
    data_seed: int
    sizes: tuple[int, ...]
    network: MLP

    @classmethod
    def make(
        cls,
        options: ManyDataOptions,
        settings: ScaleSettings,
        progress: Callable[[int, int], object] | None = None,
    ) -> Self:
        """Check the settings, and load the samples.

        Parameters
        ----------
        options : ManyDataOptions
        settings : ScaleSettings
        progress : callable, optional
            See ``ntklin.load_data``.

        Returns
        -------
        Problem

        Raises
        ------
        ValueError
            For an option that cannot be.
        """
        checked(ScaleSettings, settings, by_flag=True)
        checked(ManyDataOptions, options, by_flag=True)
        sizes = settings.all_sizes(options.n)
        settings.whole_solver()
        network_for(settings, 1, 1)  # refuses bad widths before the samples are loaded
        data = options.load(settings.dtype, progress)
        net = network_for(settings, data.X_train.shape[1], data.n_outputs)
        return cls(settings, data, options.data_seed, sizes, net)

    @cached_property
    def theta(self) -> Array:
        """θ_0."""
        return self.network.init(self.settings.seed, self.settings.dtype)

    def describe(self) -> dict[str, Any]:
        """What was asked for, as JSON can hold it."""
        net, data, settings = self.network, self.data, self.settings
        return {
            "data": data.name,
            "provenance": data.provenance,
            "classes": [str(label) for label in data.classes],
            "data_seed": self.data_seed,
            "n": len(data.X_train),
            "n_test": len(data.X_test),
            "widths": list(net.widths),
            "sigma": settings.sigma,
            "activation": settings.activation,
            "scaling": settings.scaling,
            "bias": settings.bias,
            "seed": settings.seed,
            "dtype": settings.dtype,
            "solver": settings.solver,
            "preconditioner": settings.preconditioner,
            "tol": settings.tol,
            "ridge": settings.ridge,
        }


def network_for(settings: ScaleSettings, n_inputs: int, n_outputs: int) -> MLP:
    """The network, for data of this kind."""
    kinds: dict[str, Any] = {
        "activation": settings.activation,
        "scaling": settings.scaling,
        "bias": settings.bias,
    }
    widths = (n_inputs, *settings.hidden_widths, n_outputs)
    return MLP(widths, sigma=settings.sigma, **kinds)
