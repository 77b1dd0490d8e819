"""The empirical neural tangent kernel."""

from ntklin.algebra.preconditioners import as_preconditioner, weighted_kernel


def ntk(net, theta, X1, X2=None, weights=None):
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
    phi = net.features(theta, X1)
    other = None if X2 is None else net.features(theta, X2)
    return weighted_kernel(phi, as_preconditioner(weights, phi.shape[1]), other)
