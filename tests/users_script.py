"""What a user writes: ``test_types.py`` has it checked as strictly as pyright can."""

import numpy as np
from numpy.typing import NDArray

import ntklin


def main(width: int = 200) -> dict[str, float]:
    """Train a network, and compare it with what its linearization says of it."""
    data = ntklin.load_data("mnist01", n_train=10, n_test=5, rng=0)
    net = ntklin.MLP((data.X_train.shape[1], width, 1), sigma=0.5, bias="none")
    theta = net.init(rng=0)

    lin = ntklin.linearize(net, theta, data.X_train)
    minimizer = lin.minimizer(data.Y_train)
    f_int: NDArray[np.floating] = minimizer.interpolator(data.X_test)
    gd = lin.gradient_descent(data.Y_train, learning_rate=lin.max_learning_rate / 4)
    curve = gd.predict(data.X_test, t=[0, 10, 1000])

    optimizer = ntklin.GradientDescent(gd.learning_rate)
    run = ntklin.train(net, theta, data.X_train, data.Y_train, optimizer, steps=20)
    moved = net.apply(run.parameters, data.X_test) - curve[1]

    phi = net.features(theta, data.X_train)
    certificate = ntklin.certify(
        phi.gram(), data.Y_train, ntklin.ntk(net, theta, data.X_test[:2], data.X_train)
    )
    enclosed = certificate.interpolator
    digits = 0.0 if enclosed is None else enclosed.digits
    return {"interpolator": float(f_int[0]), "distance": float(abs(moved).max()), "digits": digits}


if __name__ == "__main__":
    print(main())
