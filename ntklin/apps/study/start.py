"""Where all training of a study begins: one θ_0 at one scale σ, and its closed forms."""

from dataclasses import dataclass
from typing import Self

from ntklin.apps.study.config import StudyConfig
from ntklin.edge.arrays import Array
from ntklin.edge.backends import beside
from ntklin.edge.errors import DegenerateKernelError
from ntklin.networks.mlp import MLP
from ntklin.theory.gradient_descent import LinearizedGradientDescent
from ntklin.theory.linearization import Linearization, linearize
from ntklin.theory.minimizer import Minimizer


@dataclass(frozen=True, eq=False)
class Start:
    """One initialization at one scale σ.

    Attributes
    ----------
    network : MLP
    theta : ndarray, shape (P,)
    linearization : Linearization
    gradient_descent : LinearizedGradientDescent
        At η = 0.5 N/λ_max.
    minimizer : Minimizer
        What it converges to, f_∞.
    predicted : int
        After so many steps of it the training loss first drops below ``until``.
    """

    network: MLP
    theta: Array
    linearization: Linearization
    gradient_descent: LinearizedGradientDescent
    minimizer: Minimizer
    predicted: int

    @classmethod
    def make(cls, config: StudyConfig, sigma: float, theta: Array) -> Self:
        """Linearize at θ_0 and ask for the closed forms that everything else is held against.

        Returns
        -------
        Start

        Raises
        ------
        DegenerateKernelError
            If K(X, X) is singular to working precision.
        ValueError
            If even the linearized network's loss never drops below ``config.until``.
        """
        X, Y, _, _ = config.arrays
        network = config.network(sigma)
        lin = linearize(network, theta, X)
        gd = lin.gradient_descent(Y)
        minimizer = lin.minimizer(Y, rcond=config.rcond)
        return cls(network, theta, lin, gd, minimizer, gd.steps_to(config.until))


def draw(config: StudyConfig, seed: int) -> Array:
    """θ_0, which does not depend on σ: that enters through the scales w_l alone."""
    theta = config.network(config.sigmas[0]).init(rng=seed, dtype=config.dtype)
    return beside(theta, config.arrays[0])


def refused(error: DegenerateKernelError, where: str) -> DegenerateKernelError:
    """A DegenerateKernelError that says where in a study it came up, and what a study can do."""
    return DegenerateKernelError(f"{where}: {error}. A study takes rcond (--rcond)")
