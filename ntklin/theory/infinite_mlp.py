"""The network of infinite width as an object: Θ, the covariance of f_0, and its training."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.checks import as_inputs, warn_outside_unit_ball
from ntklin.edge.faces.shown import Facts, Shown, facts
from ntklin.networks.infinite import infinite_nngp, infinite_ntk
from ntklin.networks.mlp import MLP
from ntklin.theory.kernel_source import FunctionKernel
from ntklin.theory.linearization import Linearization


@dataclass(frozen=True)
class InfiniteMLP(Shown):
    """The limit of an MLP as all hidden widths grow: it is its own linearization.

    At infinite width the kernel is Θ whatever θ_0, and stays so in training, and f_0 is a Gaussian
    process of mean 0 whose covariance is the NNGP. Of C outputs each has both, independently of the
    others: Θ ⊗ 1_C.

    Parameters
    ----------
    net : MLP
        Its depth, σ, scaling, bias and number of outputs count; its hidden widths do not.

    Examples
    --------
    >>> import numpy as np, ntklin
    >>> inf = ntklin.InfiniteMLP(ntklin.MLP((3, 100, 1)))
    >>> lin = inf.linearize(np.eye(3))
    >>> m = lin.minimizer([0.0, 1.0, 1.0])
    >>> x = np.array([[0.6, 0.8, 0.0]])
    >>> m.predict(x).shape, m.covariance(x).shape
    ((1,), (1, 1))
    """

    net: MLP

    def __post_init__(self) -> None:
        if not isinstance(self.net, MLP):
            raise TypeError(f"net must be an ntklin.MLP, got {type(self.net).__name__}")

    def _facts(self) -> Facts:
        return facts("InfiniteMLP", net=repr(self.net))

    def ntk(self, X1: ArrayLike, X2: ArrayLike | None = None) -> Array:
        """Θ(X1, X2), of any one output; see :func:`ntklin.infinite_ntk`.

        Parameters
        ----------
        X1 : array_like, shape (N1, d)
        X2 : array_like, shape (N2, d), optional
            X1 when not given.

        Returns
        -------
        ndarray, shape (N1, N2)
        """
        return infinite_ntk(self.net, X1, None if X2 is X1 else X2)

    def nngp(self, X1: ArrayLike, X2: ArrayLike | None = None) -> Array:
        """The covariance E f_0(X1) f_0(X2)^T of any one output; see :func:`ntklin.infinite_nngp`.

        Parameters
        ----------
        X1 : array_like, shape (N1, d)
        X2 : array_like, shape (N2, d), optional
            X1 when not given.

        Returns
        -------
        ndarray, shape (N1, N2)
        """
        return infinite_nngp(self.net, X1, None if X2 is X1 else X2)

    def linearize(self, X: ArrayLike) -> Linearization:
        """The linearization over Θ on training inputs X, with f_0 = 0, its mean.

        What it predicts is the mean over initializations; ``covariance`` of gradient descent and of
        minimizers is their covariance, and ``expected_initialization_loss`` of a minimizer is
        σ^{2L} E J² of Thm 2.

        Parameters
        ----------
        X : array_like, shape (N, d)
            Copied; rows outside the unit ball are allowed with a warning.

        Returns
        -------
        Linearization
        """
        X = as_inputs(X, self.net.n_inputs).copy()
        warn_outside_unit_ball(X)
        C = self.net.n_outputs
        return Linearization(FunctionKernel(self.ntk, X, None, self.nngp, C))
