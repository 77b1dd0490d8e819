"""The empirical neural tangent kernel."""

from numpy.typing import ArrayLike

from ntklin.algebra.preconditioners import Weights, as_preconditioner, weighted_kernel
from ntklin.edge.arrays import Array, as_array
from ntklin.networks.network import Network, as_feature_operator, require_network


def ntk(
    net: Network,
    theta: ArrayLike,
    X1: ArrayLike,
    X2: ArrayLike | None = None,
    weights: Weights = None,
) -> Array:
    """The empirical NTK K(X1, X2) = φ(X1) D φ(X2)^T at θ, without forming a Jacobian.

    Parameters
    ----------
    net : MLP, AntisymmetricPair or DoubledNetwork
    theta : ndarray, shape (P,)
    X1 : ndarray, shape (N1, d)
    X2 : ndarray, shape (N2, d), optional
        X1 when not given; the symmetric work is then done once.
    weights : float, array_like, shape (P,) or (P, P), or LowRank, optional
        A constant D ≥ 0, giving K_D (Sect. 4); 1 when not given. See ``Linearization.minimizer``.

    Returns
    -------
    ndarray, shape (N1, N2)
    """
    require_network(net)
    theta = as_array(theta, "theta")
    phi = as_feature_operator(net.features(theta, as_array(X1, "X1")))
    other = None if X2 is None else as_feature_operator(net.features(theta, as_array(X2, "X2")))
    return weighted_kernel(phi, as_preconditioner(weights, phi.shape[1]), other)
