"""Theorem 1 on trained networks: their distance from Eq. (4) against their width.

Networks are trained by gradient descent to a loss of 10⁻¹⁰, and their outputs on test points
compared with the minimizer of Eq. (4). The rms distance is O(1/√m), an upper bound: its exponent
has to be below −0.3 with its whole interval; below −0.2 for L = 3, whose networks are narrower and
scatter more.
"""

import ntklin
from ntklin.validation.theorems.experiments import draw_data, draw_images, network, rms
from ntklin.validation.theorems.statistics import Below, power_law


def distance(data, m, rng, **options):
    """The rms distances of a trained network from Eq. (4) and from f_int."""
    net = network(m, d=data.X.shape[1], **options)
    theta = net.init(rng)
    run = ntklin.train(net, theta, data.X, data.Y, until=1e-10)
    minimizer = ntklin.linearize(net, theta, data.X).minimizer(data.Y)
    outputs = run.predict(data.X_test)
    return [rms(outputs - f(data.X_test)) for f in (minimizer.predict, minimizer.interpolator)]


def distance_without_biases(data, m, rng):
    """As the statement is printed."""
    return distance(data, m, rng, bias="none")


def distance_three_layers(data, m, rng):
    """With a second hidden layer."""
    return distance(data, m, rng, depth=3)


def check(
    name,
    hypothesis,
    draw,
    sample,
    n_draws,
    bound=-0.3,
    x=(64, 256, 1024, 4096),
    quick=((32, 256, 2048), 12),
):
    """That the distance falls."""
    return power_law(
        *(name, hypothesis, draw, sample),
        *(Below(bound, paper=-0.5), Below(bound, column=1), "f_int alone: f_init is missing"),
        x=x,
        n_draws=n_draws,
        quick=quick,
    )


CHECKS = (
    check(
        "trained",
        "trained networks with trained biases, L = 2, approach Eq. (4) like O(1/√m)",
        draw_data,
        distance,
        n_draws=40,
    ),
    check(
        "trained-no-biases",
        "trained networks without biases, L = 2, approach Eq. (4) like O(1/√m)",
        draw_data,
        distance_without_biases,
        n_draws=40,
    ),
    check(
        "trained-three-layers",
        "trained networks with trained biases, L = 3, approach Eq. (4) like O(1/√m)",
        draw_data,
        distance_three_layers,
        n_draws=20,
        bound=-0.2,
        x=(64, 128, 256, 512, 1024),
        quick=((24, 48, 96, 192), 10),
    ),
    check(
        "trained-images",
        "on images of MNIST, networks with trained biases, L = 2, approach Eq. (4) like O(1/√m)",
        draw_images,
        distance,
        n_draws=12,
    ),
)
