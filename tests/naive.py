"""An independent witness: every formula in plain Python loops over NumPy arrays.

Nothing of ntklin is imported here. Where the library is fast, this file is short and obvious.
All arithmetic is float64, whatever comes in.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np


class Network(NamedTuple):
    """Widths (m_0, ..., m_L) and the conventions of Eq. (1)."""

    widths: tuple
    sigma: float = 1.0
    scaling: str = "fan_out"
    bias: str = "zero"
    sigma_b: float | None = None
    activation: str = "relu"


# Activations, and what bounds the smooth ones: |α(h)| ≤ 1.2 |h| + 0.7, |α'| and |α''| ≤ 1.2


def normal_cdf(h):
    return (1 + math.erf(h / math.sqrt(2))) / 2


def normal_pdf(h):
    return math.exp(-h * h / 2) / math.sqrt(2 * math.pi)


def logistic(h):
    return 1 / (1 + math.exp(-h))


ACTIVATIONS = {
    "relu": (lambda h: max(h, 0.0), lambda h: 1.0 if h > 0 else 0.0),
    "leaky_relu(0.2)": (lambda h: max(h, 0.2 * h), lambda h: 1.0 if h > 0 else 0.2),
    "abs": (abs, lambda h: (h > 0) - (h < 0)),
    "erf": (math.erf, lambda h: 2 / math.sqrt(math.pi) * math.exp(-h * h)),
    "tanh": (math.tanh, lambda h: 1 - math.tanh(h) ** 2),
    "gelu": (lambda h: h * normal_cdf(h), lambda h: normal_cdf(h) + h * normal_pdf(h)),
    "softplus(2.0)": (lambda h: math.log(1 + math.exp(2 * h)) / 2, lambda h: logistic(2 * h)),
    "sigmoid": (logistic, lambda h: logistic(h) * (1 - logistic(h))),
    "sin": (math.sin, math.cos),
    "bound": (lambda h: 1.2 * h + 0.7, lambda h: 1.2 * (1 + h)),
}
KINKED = ("relu", "leaky_relu(0.2)", "abs")


# Parameters


def scales(net):
    """w_1 ... w_L and v_1 ... v_L."""
    w, v = [], []
    for n_in, n_out in zip(net.widths, net.widths[1:], strict=False):
        if net.scaling == "standard":
            w.append(1.0)
            v.append(1.0)
        elif net.scaling == "fan_out":
            w.append(net.sigma / math.sqrt(n_out))
            v.append(net.sigma / math.sqrt(n_out))
        elif net.scaling == "fan_in":
            w.append(net.sigma / math.sqrt(n_in))
            v.append(net.sigma if net.sigma_b is None else net.sigma_b)
        else:
            w.append(net.sigma / math.sqrt(n_out))
            v.append(net.sigma)
    return w, v


def n_parameters(net):
    """P: the weights of all layers and, unless absent, the biases."""
    total = 0
    for n_in, n_out in zip(net.widths, net.widths[1:], strict=False):
        total += n_out * n_in
        if net.bias != "none":
            total += n_out
    return total


def unpack(net, theta):
    """[(W^1, b^1), ...] as nested lists of floats; an absent bias is None."""
    values = [float(p) for p in theta]
    layers, k = [], 0
    for n_in, n_out in zip(net.widths, net.widths[1:], strict=False):
        W = []
        for _ in range(n_out):
            W.append(values[k : k + n_in])
            k += n_in
        b = None
        if net.bias != "none":
            b = values[k : k + n_out]
            k += n_out
        layers.append((W, b))
    assert k == len(values)
    return layers


def pack(layers):
    """Flat θ: layer by layer, W row by row, then b."""
    theta = []
    for W, b in layers:
        for row in W:
            theta.extend(row)
        if b is not None:
            theta.extend(b)
    return np.array(theta, dtype=float)


# Forward and backward


def forward(net, theta, x):
    """a^0 ... a^{L-1} and h^1 ... h^L for one input x."""
    w, v = scales(net)
    activations, preactivations = [[float(c) for c in x]], []
    for l, (W, b) in enumerate(unpack(net, theta)):
        h = []
        for i, row in enumerate(W):
            total = 0.0
            for weight, a in zip(row, activations[l], strict=True):
                total += w[l] * weight * a
            if b is not None:
                total += v[l] * b[i]
            h.append(total)
        preactivations.append(h)
        if l < len(w) - 1:
            activations.append([ACTIVATIONS[net.activation][0](c) for c in h])
    return activations, preactivations


def apply(net, theta, X):
    """f(x) = h^L for every row of X: (N,) of one output, (N, C) of several."""
    outputs = np.array([forward(net, theta, x)[1][-1] for x in X])
    return outputs[:, 0] if net.widths[-1] == 1 else outputs


def backward(net, theta, x, output=0):
    """δ^1 ... δ^L of an output for one input x, with ReLU'(0) = 0."""
    w, _ = scales(net)
    layers = unpack(net, theta)
    _, preactivations = forward(net, theta, x)
    deltas = [[1.0 if c == output else 0.0 for c in range(net.widths[-1])]]
    for l in range(len(w) - 1, 0, -1):
        W, _ = layers[l]
        delta = []
        for j in range(net.widths[l]):
            total = 0.0
            for i in range(net.widths[l + 1]):
                total += w[l] * W[i][j] * deltas[0][i]
            delta.append(total * ACTIVATIONS[net.activation][1](preactivations[l - 1][j]))
        deltas.insert(0, delta)
    return deltas


def gradient(net, theta, x, output=0):
    """φ(x) = ∇_θ f(x) of an output, in the layout of θ."""
    w, v = scales(net)
    activations, _ = forward(net, theta, x)
    layers = []
    for l, delta in enumerate(backward(net, theta, x, output)):
        dW = [[w[l] * d * a for a in activations[l]] for d in delta]
        db = None if net.bias == "none" else [v[l] * d for d in delta]
        layers.append((dW, db))
    return pack(layers)


def jacobian(net, theta, X):
    """J = φ(X), (N C, P): row n C + c is that of output c of input n."""
    return np.array([gradient(net, theta, x, c) for x in X for c in range(net.widths[-1])])


def kink_distance(net, theta, X):
    """The smallest non-zero |h| of a hidden neuron, relative to the terms that it sums.

    A rounding error larger than this can flip a ReLU, and then no tight tolerance holds.
    """
    smallest = math.inf
    if net.activation not in KINKED:
        return smallest
    for x in X:
        _, signed = forward(net, theta, x)
        _, unsigned = forward(net, np.abs(theta), np.abs(x))
        for h, magnitude in zip(signed[:-1], unsigned[:-1], strict=True):
            for value, terms in zip(h, magnitude, strict=True):
                if value != 0:
                    smallest = min(smallest, abs(value) / terms)
    return smallest


# Kernels


def gram(J, J2=None):
    """K = J J2^T."""
    return weighted_gram(J, np.ones(J.shape[1]), J2)


def weighted_gram(J, D, J2=None):
    """K_D = J D J2^T for a diagonal D, given as a vector."""
    J2 = J if J2 is None else J2
    K = np.zeros((len(J), len(J2)))
    for n in range(len(J)):
        for k in range(len(J2)):
            for p in range(len(D)):
                K[n, k] += J[n, p] * D[p] * J2[k, p]
    return K


def projector(J):
    """P_F = J^T (J J^T)^{-1} J, (P, P), for independent rows."""
    return J.T @ np.linalg.solve(J @ J.T, J)


# Gradient descent on the loss ‖f(X) − Y‖²/(2N)


def linearized_gradient_descent(J, f0, theta0, Y, learning_rate, steps):
    """θ_t of the linearized network f_0(X) + J (θ − θ_0), one explicit step after the other."""
    theta = np.array(theta0, dtype=float)
    for _ in range(steps):
        residual = f0 + J @ (theta - theta0) - Y
        theta = theta - learning_rate / len(Y) * (J.T @ residual)
    return theta


def gradient_descent(net, theta0, X, Y, learning_rate, steps):
    """θ_t of the network itself, one explicit step after the other."""
    theta = np.array(theta0, dtype=float)
    for _ in range(steps):
        residual = np.ravel(apply(net, theta, X) - Y)
        theta = theta - learning_rate / len(Y) * (jacobian(net, theta, X).T @ residual)
    return theta


def closed_form(K, K_new, f0, f0_new, Y, learning_rate, steps):
    """f_t at new inputs: f_0 + K_new (η/N) Σ_{s<t} (1 − ηK/N)^s (Y − f_0(X)), the sum explicit."""
    step = np.eye(len(Y)) - learning_rate / len(Y) * K
    total, power = np.zeros(len(Y)), np.eye(len(Y))
    for _ in range(steps):
        total = total + power @ (Y - f0)
        power = power @ step
    return f0_new + learning_rate / len(Y) * (K_new @ total)


def minimizer(K, K_new, f0, f0_new, Y):
    """f_∞ = f_0 + K_new K^{-1} (Y − f_0(X))."""
    return f0_new + K_new @ np.linalg.solve(K, Y - f0)


# SGD on batches drawn for each step


def batch_maps(K, learning_rate, batch_size, outputs=1):
    """The map r ↦ r − (η/b) K P_B r of each batch B, P_B keeping its samples' rows."""
    n = len(K) // outputs
    maps = []
    for batch in itertools.combinations(range(n), batch_size):
        P = np.zeros((len(K), len(K)))
        for sample in batch:
            for row in range(sample * outputs, (sample + 1) * outputs):
                P[row, row] = 1.0
        maps.append(np.eye(len(K)) - learning_rate / batch_size * K @ P)
    return maps


def residual_moments(maps, residual, steps):
    """E r_t and E r_t r_t^T, averaged over all batches one step after the other."""
    mean, second = np.array(residual, float), np.outer(residual, residual)
    for _ in range(steps):
        mean = sum(A @ mean for A in maps) / len(maps)
        second = sum(A @ second @ A.T for A in maps) / len(maps)
    return mean, second


# Training with any optimizer


def optimizer(name, learning_rate, **options):
    """``step(t, g, memory)``, t = 0, 1, …: the change of θ and the diagonal of D_t.

    The learning rate may be a function of t. Weight decay needs θ_t, which is in ``memory``. A
    coordinate that never had a gradient has D = 0 and stays where it is; so does one whose
    denominator is 0.
    """

    def step(t, g, memory):
        first, second = memory.setdefault("first", {}), memory.setdefault("second", {})
        had = memory.setdefault("had", set())
        change, D = np.zeros(len(g)), np.zeros(len(g))
        rate = learning_rate(t) if callable(learning_rate) else learning_rate
        decay, theta = options.get("weight_decay", 0.0), memory.get("theta")
        coupled = decay if not options.get("decoupled") else 0.0
        if coupled:
            g = [g[j] + coupled * theta[j] for j in range(len(g))]
        for j in range(len(g)):
            if g[j] != 0:
                had.add(j)
            if name == "descent":
                D[j], direction = 1.0, g[j]
            elif name == "momentum":
                first[j] = options["momentum"] * first.get(j, 0.0) + g[j]
                D[j], direction = 1.0, first[j]
                if options["nesterov"]:
                    direction = g[j] + options["momentum"] * first[j]
            elif name == "adam":
                beta, gamma = options["betas"]
                first[j] = beta * first.get(j, 0.0) + (1 - beta) * g[j]
                second[j] = gamma * second.get(j, 0.0) + (1 - gamma) * g[j] ** 2
                direction = first[j] / (1 - beta ** (t + 1))
                root = math.sqrt(second[j] / (1 - gamma ** (t + 1))) + options["eps"]
                if j in had and root > 0:
                    D[j] = 1 / root
            else:
                old = second.get(j, 0.0)
                if name == "adagrad":
                    second[j] = old + g[j] ** 2
                else:
                    second[j] = options["alpha"] * old + (1 - options["alpha"]) * g[j] ** 2
                direction = g[j]
                root = math.sqrt(second[j]) + options["eps"]
                if j in had and root > 0:
                    D[j] = 1 / root
            change[j] = -rate * D[j] * direction
            if decay and not coupled:  # θ shrinks first, and the step is the rule's all the same
                change[j] -= rate * decay * theta[j]
        return change, D

    return step


def loss_and_slopes(f, Y, loss):
    """(1/N) Σ_n ℓ(f_n, y_n), and every ∂ℓ/∂f, flat and n major; rows of f and Y are samples."""
    value, slopes = 0.0, []
    for f_n, y_n in zip(np.reshape(f, (len(Y), -1)), np.reshape(Y, (len(Y), -1)), strict=True):
        total = sum(math.exp(a) for a in f_n) if loss == "softmax" else 0.0
        for a, y in zip(f_n, y_n, strict=True):
            if loss == "squared":
                value += (a - y) ** 2 / 2
                slopes.append(a - y)
            elif loss == "logistic":
                value += math.log(1 + math.exp(a)) - y * a
                slopes.append(1 / (1 + math.exp(-a)) - y)
            else:
                value -= y * math.log(math.exp(a) / total)
                slopes.append(math.exp(a) / total - y)
    return value / len(Y), slopes


def training(net, theta0, X, Y, step, weights, loss="squared"):
    """[(θ_t, L(θ_t)), …], t = 0, 1, …, of the network itself, one explicit step after the other.

    ``step`` is from `optimizer`, or the like; one row of ``weights`` per step, as in
    `linearized_training`.
    """
    theta, memory = np.array(theta0, dtype=float), {}
    trajectory = []
    for t in range(len(weights) + 1):
        value, slopes = loss_and_slopes(apply(net, theta, X), Y, loss)
        trajectory.append((theta, value))
        if t < len(weights):
            J = jacobian(net, theta, X)
            each = np.repeat(weights[t], len(slopes) // len(Y))
            g = sum(w * slope * row for w, slope, row in zip(each, slopes, J, strict=True))
            memory["theta"] = theta
            theta = theta + step(t, g, memory)[0]
    return trajectory


def linearized_training(J, f0, Y, step, weights, loss="squared", theta0=0.0):
    """[(θ_t − θ_0, f_t(X), L(f_t), D_{t−1}), …], t = 0, 1, …, with f_t = f_0 + J(θ_t − θ_0).

    The gradient of a step is Σ_n weights_n ℓ'(f_n, y_n) J_n; one row of ``weights`` per step, and
    C rows of J for each sample, as f_0 has. θ_0 is for weight decay.
    """
    moved, memory, D = np.zeros(J.shape[1]), {}, None
    start = np.reshape(f0, -1)
    trajectory = []
    for t in range(len(weights) + 1):
        f = np.array([start[n] + sum(J[n] * moved) for n in range(len(J))]).reshape(np.shape(f0))
        value, slope = loss_and_slopes(f, Y, loss)
        trajectory.append((moved, f, value, D))
        if t < len(weights):
            g = np.zeros(J.shape[1])
            for n in range(len(J)):
                g = g + weights[t][n * len(Y) // len(J)] * slope[n] * J[n]
            memory["theta"] = theta0 + moved
            change, D = step(t, g, memory)
            moved = moved + change
    return trajectory


# Initializations with f_0 = 0


def pair_apply(net, theta_pair, X):
    """(g(x; θ) − g(x; θ'))/√2."""
    theta, other = np.split(np.asarray(theta_pair), 2)
    return (apply(net, theta, X) - apply(net, other, X)) / math.sqrt(2)


def pair_jacobian(net, theta_pair, X):
    """The gradient of `pair_apply` in (θ, θ')."""
    theta, other = np.split(np.asarray(theta_pair), 2)
    return np.hstack([jacobian(net, theta, X), -jacobian(net, other, X)]) / math.sqrt(2)


def doubled(net):
    """The network with its last hidden layer doubled."""
    widths = list(net.widths)
    widths[-2] *= 2
    return net._replace(widths=tuple(widths))


def doubled_parameters(net, theta):
    """θ of the doubled network: layer L−1 twice, the last weights (W^L, −W^L), last bias 0."""
    layers = unpack(net, theta)
    W, b = layers[-2]
    layers[-2] = (W + W, None if b is None else b + b)
    (row,), b = layers[-1]
    layers[-1] = ([row + [-c for c in row]], None if b is None else [0.0])
    return pack(layers)


# Infinite width


def infinite_kernels(net, x, y, m=math):
    """Θ(x, y) and the NNGP covariance E f(x) f(y), scalar by scalar.

    For `fan_out` (and `eq1` without biases) with the S^l of docs/theory.md, inner products of
    activations; for `fan_in` with the covariances Σ^l of preactivations, as Jacot et al. and Lee
    et al. write them. `m` has sqrt, acos, sin, cos and pi: `math`, or mpmath's `mp` for more
    digits, which arccos needs near 1, where it loses half of them.
    """
    number = getattr(m, "mpf", float)
    x, y = [number(float(c)) for c in x], [number(float(c)) for c in y]
    xy = sum(a * b for a, b in zip(x, y, strict=True))
    xx = sum(a * a for a in x)
    yy = sum(b * b for b in y)
    trained = 0 if net.bias == "none" else 1
    random = 1 if net.bias == "normal" else 0
    s2 = number(net.sigma) ** 2
    if net.scaling == "fan_in":
        return _infinite_fan_in(net, xy, xx, yy, trained, random, m)
    terms, kappas = [], []
    for _ in range(len(net.widths) - 2):
        terms.append(s2 * (xy + trained))
        norm = m.sqrt((xx + random) * (yy + random))
        angle, alive = _angle(xy + random, norm, m)
        xy = s2 / (2 * m.pi) * norm * (m.sin(angle) + (m.pi - angle) * m.cos(angle))
        kappas.append(alive * s2 * (m.pi - angle) / (2 * m.pi))
        xx, yy = s2 / 2 * (xx + random), s2 / 2 * (yy + random)
    terms.append(s2 * (xy + trained))
    ntk = 0
    for l, term in enumerate(terms):
        for kappa in kappas[l:]:
            term = term * kappa
        ntk = ntk + term
    return ntk, s2 * (xy + random)


def _infinite_fan_in(net, xy, xx, yy, trained, random, m):
    """Σ^1 = σ² x·y/d + σ_b²; Σ^{l+1} = σ² E[a a'] + σ_b²; Θ^{l+1} = Σ^{l+1} + σ² Θ^l E[1 1']."""
    s2 = type(xy)(net.sigma) ** 2
    b2 = s2 if net.sigma_b is None else type(xy)(net.sigma_b) ** 2
    d = net.widths[0]
    ntk = s2 * xy / d + trained * b2
    cov_xy, cov_xx, cov_yy = (s2 * c / d + random * b2 for c in (xy, xx, yy))
    for _ in range(len(net.widths) - 2):
        norm = m.sqrt(cov_xx * cov_yy)
        angle, alive = _angle(cov_xy, norm, m)
        both_active = alive * (m.pi - angle) / (2 * m.pi)
        moment = norm / (2 * m.pi) * (m.sin(angle) + (m.pi - angle) * m.cos(angle))
        ntk = s2 * moment + trained * b2 + s2 * ntk * both_active
        cov_xy = s2 * moment + random * b2
        cov_xx, cov_yy = s2 * cov_xx / 2 + random * b2, s2 * cov_yy / 2 + random * b2
    return ntk, cov_xy


def _angle(inner, norm, m):
    """The angle, and 0 where a vector vanishes (its neurons are inactive: ReLU'(0) = 0), else 1."""
    if norm == 0:
        return m.pi / 2, 0
    return m.acos(min(max(inner / norm, -1), 1)), 1


def infinite(net, X, X2=None, m=math):
    """The matrices Θ(X, X2) and E f(X) f(X2)^T."""
    X2 = X if X2 is None else X2
    entries = [[infinite_kernels(net, x, y, m) for y in X2] for x in X]
    ntk = np.array([[float(e[0]) for e in row] for row in entries])
    return ntk, np.array([[float(e[1]) for e in row] for row in entries])
