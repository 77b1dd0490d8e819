"""The kernels' numbers in one go, for a process whose surroundings are strange."""

import naive
import numpy as np
from tolerances import assert_close

import ntklin


def check():
    """Fail unless every kind of kernel agrees with the reference, or with the dense J."""
    rng = np.random.default_rng(0)
    options = {"widths": (5, 40, 30, 1), "bias": "normal"}
    net, reference = ntklin.MLP(**options), naive.Network(**options)
    # More inputs than 192, so that kernels skip zeros and tabulate subsets.
    theta, X = net.init(0), rng.standard_normal((200, 5))
    X /= np.linalg.norm(X, axis=1).max()
    n, P, few, Y = sum(net.widths), net.n_parameters, X[:20], rng.standard_normal(20)

    J, phi = net.jacobian(theta, X), net.features(theta, X)
    expected = naive.jacobian(reference, theta, X[:4])
    bound = naive.jacobian(reference, np.abs(theta), np.abs(X[:4]))
    assert_close(J[:4], expected, kind="jacobian", n=n, scale=bound)
    bound = naive.apply(reference, np.abs(theta), np.abs(X))
    assert_close(phi.outputs, naive.apply(reference, theta, X), kind="output", n=n, scale=bound)

    size, D = np.abs(J), rng.random(P)
    v, r = rng.standard_normal(P), rng.standard_normal(len(X))
    assert_close(phi @ v, J @ v, kind="gram", n=P, scale=size @ np.abs(v))
    assert_close(phi.T @ r, J.T @ r, kind="gram", n=len(X) + n, scale=size.T @ np.abs(r))
    assert_close(phi.gram(), J @ J.T, kind="gram", n=P, scale=size @ size.T)
    bound = (size * D) @ size.T
    assert_close(phi.gram(weights=D), (J * D) @ J.T, kind="weighted_gram", n=P, scale=bound)
    limit = ntklin.infinite_ntk(net, X)
    expected = naive.infinite(reference, X[:4], X[:9])[0]
    assert_close(limit[:4, :9], expected, kind="infinite", n=n)
    assert_close(ntklin.infinite_ntk(net, X[:4], X[:9]), expected, kind="infinite", n=n)

    lin = ntklin.linearize(net, theta, few)
    for rule in (ntklin.AdaGrad(0.001), ntklin.Adam(0.001)):
        run = lin.train(Y, rule, steps=3, method="fused")
        moved = phi.outputs[:20] + J[:20] @ run.displacement
        assert_close(run.outputs, moved, kind="trajectory", n=P, scale=size[:20].sum(axis=1))
    for widths in ((5, 70, 1), net.widths):
        _check_training(ntklin.MLP(widths, bias="normal"), few, Y)
    several = ntklin.MLP((5, 70, 3), bias="normal", activation="tanh")
    _check_training(several, few, rng.standard_normal((20, 3)))


def _check_training(net, X, Y):
    """Gradient descent in each way that there is, and one rule in two."""
    theta, rate = net.init(1), ntklin.GradientDescent(0.001)
    methods = ["direct", "reduced"] + ["fused"] * (net.depth == 2)
    runs = [ntklin.train(net, theta, X, Y, rate, 3, method=method) for method in methods]
    for run in runs:
        assert_close(run.parameters, runs[0].parameters, kind="trajectory", n=net.n_parameters)
        loss = ((net.apply(run.parameters, X) - Y) ** 2).sum() / (2 * len(Y))
        assert_close(run.losses[-1], loss, kind="trajectory", n=net.n_parameters)


if __name__ == "__main__":
    check()
