"""Every array that a public function takes: in any form with the same result, or refused by name.

The table below has a row for each such argument, and a test that no public argument is without one.
"""

import inspect
import warnings

import numpy as np
import pytest
from foreign_arrays import REFUSED, WELCOME
from matplotlib.figure import Figure

import ntklin
from ntklin.algebra.certificate import Enclosure
from ntklin.theory.descent_by_products import DescentByProducts
from ntklin.theory.epoch_moments import EpochMoments
from ntklin.theory.gradient_descent import LinearizedGradientDescent
from ntklin.theory.linearization import Linearization
from ntklin.theory.minimizer import Minimizer
from ntklin.theory.theorems import ProductForm

NET = ntklin.MLP((2, 3, 1))
PAIR = ntklin.AntisymmetricPair(NET)
P = NET.n_parameters
# Sums of powers of two: fractions of them, and float32, have them exactly.
THETA = np.round(NET.init(1) * 64 + 1) / 64
X = np.array([[0.5, 0.25], [-0.75, 0.5], [0.125, -0.5], [0.25, 0.625]])
X_NEW = np.array([[0.5, -0.5], [0.25, 0.25]])
Y = np.array([0.0, 1.0, 0.5, 1.0])
D = 1 + np.arange(P) / 8
MATRIX = np.diag(D)
STEPS = np.array([0, 2, 3])
KERNEL = X @ X.T + np.eye(4)
INFINITE = ntklin.InfiniteMLP(NET)
DATA = ntklin.load_data(n_train=4, n_test=2)
RATE = ntklin.GradientDescent(0.125)
ADAGRAD = ntklin.AdaGrad(0.125)


def lin():
    return ntklin.linearize(NET, THETA, X)


def run():
    return lin().train(Y, ADAGRAD, steps=3, record=1)


def epochs():
    return lin().moments(Y, 0.25, 2).epochs()


def certificate(**changes):
    arrays = {"K": np.eye(4) * 2, "Y": Y, "K_new": X_NEW @ X.T, "f0": 0 * Y, "f0_new": X_NEW[0]}
    return ntklin.certify(**arrays | changes).minimizer.midpoint


def mitigation(**changes):
    arrays = {"X": X, "Y": Y, "X_val": X_NEW, "Y_val": Y[:2], "X_test": X_NEW, "Y_test": Y[:2]}
    options = {"theta": THETA, "max_steps": 2, "min_sigma": 1.0}
    return ntklin.mitigate_initialization(NET, **options | arrays | changes)


def mitigated(**changes):
    trial = mitigation(**changes).trials[0]
    return [trial.validation_loss, trial.test_loss]


def decayed(theta=THETA, X=X, Y=Y):
    options = {"weight_decay": 0.25, "learning_rate": 0.5, "depth": 2}
    return ntklin.decay_initialization(NET, theta, X, Y, **options).parameters


def trained(net=NET, theta=THETA, X=X, Y=Y, **options):
    return ntklin.train(net, theta, X, Y, RATE, steps=3, **options)


def searched(theta=THETA, X=X, Y=Y, batches=None):
    options = {"steps": 2, "until": 1e-30, "precision": 3, "batches": batches}
    return ntklin.largest_learning_rate(NET, theta, X, Y, RATE, **options).learning_rate


def layers(net, theta=THETA):
    return [list(layer) for layer in net.unpack(theta)]


def drawn(plot, *given):
    """The data of all lines of a picture."""
    return [line.get_xydata() for line in plot(*given, Figure().subplots()).lines]


def packed(net, k, part, value):
    """The network's layers, in one of which something else stands for W or b."""
    changed = layers(net) if net is NET else layers(NET) * 2
    changed[k][part] = value
    return net.pack(changed)


def state_dict_with(value):
    """The network of a state dict whose last weight is ``value``."""
    return ntklin.from_state_dict({"0.weight": np.ones((3, 2)), "2.weight": value})


def preconditioned(value):
    """A step whose D_t is ``value``."""
    rule = ntklin.Preconditioned(0.125, lambda t, gradient: value)
    return rule.update(rule.init(THETA), THETA, D)[0]


STREAMED = NET.features(THETA, X, rows=2)
PHI, PAIR_PHI = NET.features(THETA, X), PAIR.features(np.r_[THETA, D], X)
TWICE = np.r_[THETA, D]
SCALED = ntklin.ScaledNetwork(NET, 2.0, THETA)

# (where, argument): a function of its value, the plain value, and its name in messages.
TABLE = {
    ("MLP.unpack", "theta"): (lambda v: sum(NET.unpack(v), ()), THETA),
    ("MLP.pack", "layers"): (lambda v: packed(NET, 0, 0, v), NET.unpack(THETA)[0][0], r"W\^1"),
    ("MLP.pack", "layers b"): (lambda v: packed(NET, 1, 1, v), D[:1], r"b\^2"),
    ("MLP.apply", "theta"): (lambda v: NET.apply(v, X), THETA),
    ("MLP.apply", "X"): (lambda v: NET.apply(THETA, v), X),
    ("MLP.features", "theta"): (lambda v: NET.features(v, X).parameters, THETA),
    ("MLP.features", "X"): (lambda v: NET.features(THETA, v).inputs, X),
    ("MLP.jacobian", "theta"): (lambda v: NET.jacobian(v, X), THETA),
    ("MLP.jacobian", "X"): (lambda v: NET.jacobian(THETA, v), X),
    ("from_state_dict", "sd"): (lambda v: state_dict_with(v)[1], D[None, :3], r"sd\['2.weight'\]"),
    ("from_flax", "params"): (
        lambda v: ntklin.from_flax({"params": {"kernel": v}})[1],
        D[:3, None],
        r"params\['kernel'\]",
    ),
    ("to_state_dict", "theta"): (lambda v: [*ntklin.to_state_dict(NET, v).values()], THETA),
    ("to_flax", "theta"): (
        lambda v: [*ntklin.to_flax(NET, v)["params"]["Dense_0"].values()],
        THETA,
    ),
    ("AntisymmetricPair.symmetrize", "theta"): (PAIR.symmetrize, THETA),
    ("AntisymmetricPair.halves", "theta"): (PAIR.halves, TWICE),
    ("ScaledNetwork", "origin"): (lambda v: ntklin.ScaledNetwork(NET, 2.0, v).origin, THETA),
    ("ScaledNetwork.apply", "theta"): (lambda v: SCALED.apply(v, X), D),
    ("ScaledNetwork.apply", "X"): (lambda v: SCALED.apply(D, v), X),
    ("ScaledNetwork.features", "theta"): (lambda v: SCALED.features(v, X).parameters, D),
    ("ScaledNetwork.features", "X"): (lambda v: SCALED.features(D, v).inputs, X),
    ("AntisymmetricPair.unpack", "theta"): (lambda v: sum(PAIR.unpack(v), ()), TWICE),
    ("AntisymmetricPair.pack", "layers"): (
        lambda v: packed(PAIR, 2, 0, v),
        NET.unpack(D)[0][0],
        r"W\^1",
    ),
    ("AntisymmetricPair.apply", "theta"): (lambda v: PAIR.apply(v, X), TWICE),
    ("AntisymmetricPair.apply", "X"): (lambda v: PAIR.apply(TWICE, v), X),
    ("AntisymmetricPair.features", "theta"): (lambda v: PAIR.features(v, X).parameters, TWICE),
    ("AntisymmetricPair.features", "X"): (lambda v: PAIR.features(TWICE, v).inputs, X),
    ("AntisymmetricPair.jacobian", "theta"): (lambda v: PAIR.jacobian(v, X), TWICE),
    ("AntisymmetricPair.jacobian", "X"): (lambda v: PAIR.jacobian(TWICE, v), X),
    ("DoubledNetwork.symmetrize", "theta"): (ntklin.DoubledNetwork(NET).symmetrize, THETA),
    ("FeatureMap.dot", "x"): (lambda v: PHI @ v, D, "the operand"),
    ("FeatureMap.dot", "x transposed"): (lambda v: PHI.T @ v, Y, "the operand"),
    ("FeatureMap.dot", "x pair"): (lambda v: PAIR_PHI @ v, TWICE, "the operand"),
    ("FeatureMap.at", "X_new"): (lambda v: PHI.at(v).inputs, X_NEW, "X"),
    ("Activation.value", "h"): (lambda v: NET.activation.value(v), Y),
    ("Activation.slope", "h"): (lambda v: NET.activation.slope(v), Y),
    ("Dataset.labels_of", "outputs"): (lambda v: DATA.labels_of(v), Y),
    ("FeatureMap.gram", "weights"): (lambda v: PHI.gram(weights=v), D),
    ("FeatureMap.gram", "weights pair"): (lambda v: PAIR_PHI.gram(weights=v), 1 + TWICE**2),
    ("FeatureMap.project", "v"): (PHI.project, D),
    ("FeatureMap.gram_product", "R"): (PHI.gram_product, Y),
    ("MLP.features", "theta of rows"): (
        lambda v: NET.features(v, X, rows=2).parameters,
        THETA,
    ),
    ("MLP.features", "X of rows"): (
        lambda v: NET.features(THETA, v, rows=2).outputs,
        X,
    ),
    ("StreamedFeatures.at", "X_new"): (lambda v: STREAMED.at(v).outputs, X_NEW),
    ("StreamedFeatures.gram", "weights"): (lambda v: STREAMED.gram(weights=v), D),
    ("StreamedFeatures.project", "v"): (STREAMED.project, D),
    ("StreamedFeatures.gram_product", "R"): (STREAMED.gram_product, Y),
    ("LowRank", "W"): (lambda v: ntklin.LowRank(v).W, np.outer(D, [1.0, 0.5])),
    ("Preconditioned", "fn"): (preconditioned, D, r"fn\(0, gradient\)"),
    ("Optimizer.init", "theta"): (lambda v: ADAGRAD.init(v).slots["squares"], THETA),
    ("Optimizer.update", "theta"): (
        lambda v: ADAGRAD.update(ADAGRAD.init(D), v, D)[0],
        THETA,
    ),
    ("Optimizer.update", "gradient"): (
        lambda v: ADAGRAD.update(ADAGRAD.init(D), THETA, v)[0],
        D,
    ),
    ("ntk", "theta"): (lambda v: ntklin.ntk(NET, v, X), THETA),
    ("ntk", "X1"): (lambda v: ntklin.ntk(NET, THETA, v), X, "X"),
    ("ntk", "X2"): (lambda v: ntklin.ntk(NET, THETA, X, v), X_NEW, "X"),
    ("ntk", "weights"): (lambda v: ntklin.ntk(NET, THETA, X, weights=v), D),
    ("infinite_ntk", "X1"): (lambda v: ntklin.infinite_ntk(NET, v), X),
    ("infinite_ntk", "X2"): (lambda v: ntklin.infinite_ntk(NET, X, v), X_NEW),
    ("infinite_nngp", "X1"): (lambda v: ntklin.infinite_nngp(NET, v), X),
    ("infinite_nngp", "X2"): (lambda v: ntklin.infinite_nngp(NET, X, v), X_NEW),
    ("InfiniteMLP.ntk", "X1"): (lambda v: INFINITE.ntk(v), X),
    ("InfiniteMLP.ntk", "X2"): (lambda v: INFINITE.ntk(X, v), X_NEW),
    ("InfiniteMLP.nngp", "X1"): (lambda v: INFINITE.nngp(v), X),
    ("InfiniteMLP.nngp", "X2"): (lambda v: INFINITE.nngp(X, v), X_NEW),
    ("InfiniteMLP.linearize", "X"): (lambda v: INFINITE.linearize(v).kernel, X),
    ("linearize_kernel", "K"): (lambda v: ntklin.linearize_kernel(v).kernel, KERNEL),
    ("linearize_kernel", "X"): (lambda v: ntklin.linearize_kernel(INFINITE.ntk, v).kernel, X),
    ("linearize_kernel", "f0"): (
        lambda v: ntklin.linearize_kernel(KERNEL, f0=v).initial_outputs,
        Y,
    ),
    ("linearize_kernel", "covariance"): (
        lambda v: ntklin.linearize_kernel(KERNEL, covariance=v).minimizer(Y).covariance(),
        KERNEL,
    ),
    ("linearize", "theta"): (lambda v: ntklin.linearize(NET, v, X).kernel, THETA),
    ("linearize", "X"): (lambda v: ntklin.linearize(NET, THETA, v).kernel, X),
    ("Linearization.gradient_descent", "Y"): (
        lambda v: lin().gradient_descent(v, 0.125).parameters(3),
        Y,
    ),
    ("Linearization.gradient_descent", "weights"): (
        lambda v: lin().gradient_descent(Y, 0.125, weights=v).parameters(3),
        D,
    ),
    ("Linearization.gradient_descent", "weights matrix"): (
        lambda v: lin().gradient_descent(Y, 0.125, weights=v).parameters(3),
        MATRIX,
    ),
    ("LinearizedGradientDescent.by_products", "t"): (
        lambda v: lin().gradient_descent(Y, 0.125).by_products(v).predict(X_NEW),
        np.array([0, 2, 5]),
    ),
    ("DescentByProducts.predict", "X_new"): (
        lambda v: lin().gradient_descent(Y, 0.125).by_products(3).predict(v),
        X_NEW,
    ),
    ("Linearization.minimizer", "Y"): (lambda v: lin().minimizer(v).coefficients, Y),
    ("Linearization.minimizer", "weights"): (
        lambda v: lin().minimizer(Y, weights=v).coefficients,
        D,
    ),
    ("Linearization.minimizer", "weights matrix"): (
        lambda v: lin().minimizer(Y, weights=v).coefficients,
        MATRIX,
    ),
    ("Linearization.minimizer", "preconditioner"): (
        lambda v: lin().minimizer(Y, solver="pcg", preconditioner=v).coefficients,
        KERNEL,
    ),
    ("Linearization.minimizer", "start"): (
        lambda v: lin().minimizer(Y, solver="pcg", start=v).coefficients,
        np.array([Y, 2 * Y]).T,
    ),
    ("Linearization.preconditioner_for", "w"): (
        lambda v: lin().preconditioner_for(v, PHI @ D).W,
        D,
    ),
    ("Linearization.preconditioner_for", "Y"): (
        lambda v: lin().preconditioner_for(D, v).W,
        PHI @ D,
    ),
    ("Linearization.train", "Y"): (lambda v: lin().train(v, RATE, steps=2).losses, Y),
    ("Linearization.train", "batches"): (
        lambda v: lin().train(Y, RATE, steps=2, batches=[v, [0]]).losses,
        STEPS,
        "the batch of step 0",
    ),
    ("Linearization.train", "record"): (
        lambda v: [s.step for s in lin().train(Y, RATE, steps=4, record=v).snapshots],
        STEPS,
    ),
    ("Linearization.theorem3", "Y"): (
        lambda v: lin().theorem3(v, [1.0, D], 0.125).parameters,
        Y,
    ),
    ("Linearization.theorem3", "preconditioners"): (
        lambda v: lin().theorem3(Y, [v, 1.0], 0.125).parameters,
        D,
        r"preconditioners\[0\]",
    ),
    ("Linearization.theorem6", "Y"): (
        lambda v: lin().theorem6(v, [D], 0.125).parameters,
        Y,
    ),
    ("Linearization.theorem6", "preconditioners"): (
        lambda v: lin().theorem6(Y, v, 0.125).parameters,
        np.array([D, D + 1]),
    ),
    ("Linearization.theorem6", "batches"): (
        lambda v: lin().theorem6(Y, [D], 0.125, batches=[v]).parameters,
        STEPS,
        "the batch of step 0",
    ),
    ("Linearization.weighted_kernel", "weights"): (lambda v: lin().weighted_kernel(v), D),
    ("Linearization.weighted_kernel", "weights matrix"): (
        lambda v: lin().weighted_kernel(v),
        MATRIX,
    ),
    ("Linearization.at", "X_new"): (lambda v: lin().at(v).kernel, X_NEW),
    ("Linearization.at", "weights"): (lambda v: lin().at(X_NEW, v).kernel, D),
    ("Linearization.modes_at", "X_new"): (lambda v: lin().modes_at(v), X_NEW),
    ("LinearizedGradientDescent.predict", "X_new"): (
        lambda v: lin().gradient_descent(Y).predict(v, 3),
        X_NEW,
    ),
    ("LinearizedGradientDescent.predict", "t"): (
        lambda v: lin().gradient_descent(Y).predict(X_NEW, v),
        STEPS,
    ),
    ("LinearizedGradientDescent.parameters", "t"): (
        lambda v: lin().gradient_descent(Y).parameters(v),
        STEPS,
    ),
    ("LinearizedGradientDescent.loss", "t"): (lambda v: lin().gradient_descent(Y).loss(v), STEPS),
    ("LinearizedGradientDescent.plot", "t"): (
        lambda v: drawn(lin().gradient_descent(Y).plot, v),
        STEPS,
    ),
    ("LinearizedGradientDescent.shrinkage", "t"): (
        lambda v: lin().gradient_descent(Y, weight_decay=0.1).shrinkage(v),
        STEPS,
    ),
    ("LinearizedGradientDescent.covariance", "X_new"): (
        lambda v: INFINITE.linearize(X).gradient_descent(Y).covariance(v, 3),
        X_NEW,
    ),
    ("LinearizedGradientDescent.covariance", "t"): (
        lambda v: INFINITE.linearize(X).gradient_descent(Y).covariance(X_NEW, v),
        STEPS,
    ),
    ("LinearizedGradientDescent.covariance", "X2"): (
        lambda v: INFINITE.linearize(X).gradient_descent(Y).covariance(X, 3, v),
        X_NEW,
        "X_new",
    ),
    ("Linearization.moments", "Y"): (lambda v: lin().moments(v, 0.25, 2).loss(STEPS), Y),
    ("Linearization.moments", "weights"): (
        lambda v: lin().moments(Y, 0.25, 2, weights=v).loss(STEPS),
        D,
    ),
    ("Linearization.moments", "weights matrix"): (
        lambda v: lin().moments(Y, 0.25, 2, weights=v).loss(STEPS),
        MATRIX,
    ),
    ("SGDMoments.loss", "t"): (lambda v: lin().moments(Y, 0.25, 2).loss(v), STEPS),
    ("SGDMoments.predict", "X_new"): (
        lambda v: lin().moments(Y, 0.25, 2).predict(v, STEPS),
        X_NEW,
    ),
    ("SGDMoments.predict", "t"): (lambda v: lin().moments(Y, 0.25, 2).predict(X_NEW, v), STEPS),
    ("SGDMoments.covariance", "X_new"): (
        lambda v: lin().moments(Y, 0.25, 2).covariance(v, STEPS),
        X_NEW,
    ),
    ("SGDMoments.covariance", "t"): (
        lambda v: lin().moments(Y, 0.25, 2).covariance(X_NEW, v),
        STEPS,
    ),
    ("SGDMoments.plot", "X_new"): (
        lambda v: drawn(lin().moments(Y, 0.25, 2).plot, v, STEPS),
        X_NEW,
    ),
    ("SGDMoments.plot", "t"): (
        lambda v: drawn(lin().moments(Y, 0.25, 2).plot, X_NEW, v),
        STEPS,
    ),
    ("EpochMoments.loss", "t"): (lambda v: epochs().loss(v).value, STEPS),
    ("EpochMoments.predict", "X_new"): (lambda v: epochs().predict(v, STEPS).value, X_NEW),
    ("EpochMoments.predict", "t"): (lambda v: epochs().predict(X_NEW, v).value, STEPS),
    ("EpochMoments.covariance", "X_new"): (lambda v: epochs().covariance(v, STEPS).value, X_NEW),
    ("EpochMoments.covariance", "t"): (lambda v: epochs().covariance(X_NEW, v).value, STEPS),
    ("EpochMoments.difference", "X_new"): (
        lambda v: [part.value for part in epochs().difference(v, 3)],
        X_NEW,
    ),
    ("Minimizer.covariance", "X_new"): (
        lambda v: INFINITE.linearize(X).minimizer(Y).covariance(v),
        X_NEW,
    ),
    ("Minimizer.covariance", "X2"): (
        lambda v: INFINITE.linearize(X).minimizer(Y).covariance(X, v),
        X_NEW,
        "X_new",
    ),
    ("Minimizer.expected_initialization_loss", "X_new"): (
        lambda v: INFINITE.linearize(X).minimizer(Y).expected_initialization_loss(v),
        X_NEW,
    ),
    ("Minimizer.interpolator", "X_new"): (lambda v: lin().minimizer(Y).interpolator(v), X_NEW),
    ("Minimizer.initialization", "X_new"): (lambda v: lin().minimizer(Y).initialization(v), X_NEW),
    ("Minimizer.decayed", "X_new"): (lambda v: lin().minimizer(Y).decayed(v), X_NEW),
    ("Minimizer.initialization_size", "X_new"): (
        lambda v: lin().minimizer(Y).initialization_size(v),
        X_NEW,
    ),
    ("Minimizer.noise_amplification", "X_new"): (
        lambda v: lin().minimizer(Y).noise_amplification(v),
        X_NEW,
    ),
    ("LinearizedRun.noise_amplification", "X_new"): (
        lambda v: run().noise_amplification(v),
        X_NEW,
    ),
    ("LinearizedRun.label_sensitivity", "X_new"): (lambda v: run().label_sensitivity(v), X_NEW),
    ("Minimizer.plot", "X_new"): (lambda v: drawn(lin().minimizer(Y).plot, v), X_NEW),
    ("Minimizer.predict", "X_new"): (lambda v: lin().minimizer(Y).predict(v), X_NEW),
    ("ProductForm.predict", "X_new"): (
        lambda v: lin().theorem3(Y, [D], 0.125).predict(v),
        X_NEW,
    ),
    ("ProductForm.interpolating", "X_new"): (
        lambda v: lin().theorem3(Y, [D], 0.125).interpolating(v),
        X_NEW,
    ),
    ("ProductForm.path_dependent", "X_new"): (
        lambda v: lin().theorem3(Y, [D], 0.125).path_dependent(v),
        X_NEW,
    ),
    ("LinearizedRun.predict", "X_new"): (lambda v: run().predict(v), X_NEW),
    ("LinearizedRun.interpolating", "X_new"): (lambda v: run().interpolating(v), X_NEW),
    ("LinearizedRun.path_dependent", "X_new"): (lambda v: run().path_dependent(v), X_NEW),
    ("LinearizedRun.concentration", "D"): (lambda v: run().concentration(v).distances, D),
    ("train", "theta"): (lambda v: trained(theta=v).parameters, THETA),
    ("train", "X"): (lambda v: trained(X=v).parameters, X),
    ("train", "Y"): (lambda v: trained(Y=v).parameters, Y),
    ("train", "batches"): (
        lambda v: trained(batches=[v, v, v]).parameters,
        STEPS,
        "the batch of step 0",
    ),
    ("train", "record"): (lambda v: trained(record=v).records.steps, STEPS),
    ("train", "X_record"): (lambda v: trained(record=1, X_record=v).records.outputs, X_NEW),
    ("TrainingRun.predict", "X"): (lambda v: trained().predict(v), X_NEW),
    ("train_ensemble", "thetas"): (
        lambda v: [r.losses for r in ntklin.train_ensemble(NET, v, X, Y, RATE, steps=2)],
        np.array([THETA, D]),
    ),
    ("train_ensemble", "X"): (
        lambda v: [r.losses for r in ntklin.train_ensemble(NET, [THETA], v, Y, RATE, steps=2)],
        X,
    ),
    ("train_ensemble", "Y"): (
        lambda v: [r.losses for r in ntklin.train_ensemble(NET, [THETA], X, v, RATE, steps=2)],
        Y,
    ),
    ("largest_learning_rate", "theta"): (lambda v: searched(theta=v), THETA),
    ("largest_learning_rate", "X"): (lambda v: searched(X=v), X),
    ("largest_learning_rate", "Y"): (lambda v: searched(Y=v), Y),
    ("largest_learning_rate", "batches"): (
        lambda v: searched(batches=[v, v]),
        np.arange(4),
        "the batch of step 0",
    ),
    ("search_learning_rate", "trainer"): (
        lambda v: [
            ntklin.search_learning_rate(lambda o: v, RATE, reach=2.0).trials[0].final_loss,
        ],
        np.array([1.0, 0.5]),
        r"what trainer\(optimizer\) returns",
    ),
    **{
        ("mitigate_initialization", name): (lambda v, name=name: mitigated(**{name: v}), plain)
        for name, plain in {
            **{"X": X, "Y": Y, "X_val": X_NEW, "Y_val": Y[:2], "X_test": X_NEW, "Y_test": Y[:2]},
            "theta": THETA,
        }.items()
    },
    **{
        ("decay_initialization", name): (lambda v, name=name: decayed(**{name: v}), plain)
        for name, plain in {"theta": THETA, "X": X, "Y": Y}.items()
    },
    **{
        ("certify", name): (lambda v, name=name: certificate(**{name: v}), plain)
        for name, plain in {
            **{"K": 2 * np.eye(4), "Y": Y, "K_new": X_NEW @ X.T, "f0": Y, "f0_new": X_NEW[0]},
        }.items()
    },
    ("Mitigation.predict", "X"): (lambda v: mitigation().predict(v), X_NEW),
    ("certify", "radii"): (
        lambda v: certificate(radii={"Y": v}),
        Y / 64,
        r"radii\['Y'\]",
    ),
    ("Enclosure.distance", "approximation"): (
        lambda v: ntklin.certify(2 * np.eye(4), Y).coefficients.distance(v).midpoint,
        Y,
    ),
}

# What the parameters of public functions are called that take no arrays.
NO_ARRAYS = {
    *("net", "network", "rng", "dtype", "out", "other", "optimizer", "learning_rate", "steps"),
    *("until", "loss", "method", "snapshots", "resume", "progress", "ridge", "rcond", "step"),
    *("precision", "reach", "factor", "margin", "min_sigma", "max_steps", "time_limit", "path"),
    *(
        "compare_baselines",
        "compare_decay",
        "on_trial",
        "name_or_path",
        "n_train",
        "n_test",
        "classes",
        "targets",
    ),
    *("device", "n_samples", "state", "count", "rule", "number", "stop", "block", "taken", "f"),
    *("widths", "sigma", "scaling", "bias", "sigma_b", "split", "size", "shuffle", "momentum"),
    *("nesterov", "eps", "alpha", "betas", "activation", "names", "factors", "blocks"),
    *("weight_decay", "decoupled", "depth"),
    *("batch_size", "draws", "relative_step"),
    *("sharpness", "scale", "solver", "tol", "index", "rows"),
    *("workers", "rank", "threads", "bandwidth", "latency", "iterations", "ax"),
}
XT = ("theta", "X")
# Parameters of that name that take an array elsewhere, but here a number or no arrays of data.
ELSEWHERE = {
    ("LinearizedRun.predict", "t"),
    ("LinearizedRun.at", "t"),
    ("EpochMoments.difference", "t"),
    ("Optimizer.rate", "t"),
    ("Optimizer.rates", "start"),
    ("sharpness_bound", "t"),
    ("plan", "preconditioner"),
    ("plan", "iterations"),
    ("plan", "like"),  # of which nothing counts but whose array it is
    ("train_ensemble", "batches"),
    ("mitigate_initialization", "batches"),
    ("plan_cluster", "preconditioner"),  # a name
    ("FeatureMap", "theta"),  # MLP.features
    ("FeatureMap", "X"),
    ("FeatureMap", "exponents"),  # integers that ``balanced`` finds
    # What scikit-learn's own checks look at.
    *((f"NTK{kind}.{m}", "X") for kind in ("Regressor", "Classifier") for m in ("fit", "predict")),
    *((f"NTK{kind}.fit", "y") for kind in ("Regressor", "Classifier")),
    *((f"NTK{kind}.fit", "sample_weight") for kind in ("Regressor", "Classifier")),
    ("NTKRegressor.predict", "return_std"),
    ("NTKClassifier.decision_function", "X"),
    ("NTKKernel.diag", "X"),
    # tests/test_cluster.py, which has a cluster
    *(("ClusterNetwork." + method, name) for method in ("apply", "features") for name in XT),
}
RETURNED = (
    DescentByProducts,
    *(Enclosure, EpochMoments, Linearization, LinearizedGradientDescent, Minimizer, ProductForm),
    ntklin.AdaGrad.__base__,
)
MADE_BY_USERS = (
    *(ntklin.MLP, ntklin.AntisymmetricPair, ntklin.DoubledNetwork, ntklin.FeatureMap),
    *(ntklin.LowRank, ntklin.Batches, ntklin.Preconditioned, ntklin.Momentum, ntklin.Adam),
    *(ntklin.AdaGrad, ntklin.RMSprop, ntklin.GradientDescent, ntklin.InfiniteMLP),
    ntklin.ScaledNetwork,
)


def public_parameters():
    """(where, parameter) of every public function and method."""
    for name in ntklin.__all__:
        public = getattr(ntklin, name)
        if inspect.isfunction(public):
            yield from parameters(name, public)
        elif inspect.isclass(public) and not is_implemented_or_raised(public):
            yield from parameters_of_methods(public)
    for kind in RETURNED:
        yield from parameters_of_methods(kind)
    for kind in MADE_BY_USERS:
        yield from parameters(kind.__name__, kind.__init__)


def is_implemented_or_raised(kind):
    """Whether users call no method of a class: an error, or an interface that is theirs to fill."""
    return issubclass(kind, BaseException) or inspect.isabstract(kind)


def parameters_of_methods(kind):
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        owner = next(base for base in kind.__mro__ if name in vars(base))
        told_there = owner is not kind and owner in (*RETURNED, *MADE_BY_USERS)
        is_ours = method.__module__.startswith("ntklin") and not name.startswith("_")
        if is_ours and not told_there:
            yield from parameters(f"{kind.__name__}.{name}", method)


def parameters(where, function):
    return [(where, name) for name in inspect.signature(function).parameters if name != "self"]


def test_every_public_argument_is_in_the_table_or_takes_no_array():
    tested = {(where, name.split()[0]) for where, name in TABLE}
    public = set(public_parameters())
    open_ones = {
        (where, name)
        for where, name in public - tested - ELSEWHERE
        # ``step`` trusts what it gets: ``update`` is the one that checks.
        if name not in NO_ARRAYS and not where.endswith((".step", ".dot"))
    }
    assert not open_ones
    gone = {(where, name) for where, name in tested - public if where != "FeatureMap.dot"}
    assert not gone


def arrays_of(result):
    parts = result if isinstance(result, list | tuple) else [result]
    return [np.array(part) for part in parts if part is not None]


def call(row, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ntklin.NonMonotoneLossWarning)
        return TABLE[row][0](value)


IDS = {row: f"{row[0]} {row[1]}" for row in TABLE}


@pytest.mark.parametrize("row", TABLE, ids=IDS.values())
def test_other_forms_give_the_same_result(row):
    plain = TABLE[row][1]
    expected = arrays_of(call(row, plain.copy()))
    for kind, convert in WELCOME.items():
        found = arrays_of(call(row, convert(plain)))
        assert len(found) == len(expected), kind
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b, err_msg=kind)


def test_whoever_passes_an_iterator_is_told_what_to_pass_instead():
    for name, call in {
        "X": lambda a: NET.apply(THETA, a),
        "theta": lambda a: NET.apply(a, X),
    }.items():
        with pytest.raises(TypeError, match=f"{name} must be .*; pass a list or an array"):
            call(iter(THETA))


@pytest.mark.parametrize("row", TABLE, ids=IDS.values())
def test_what_would_lose_something_is_refused_by_name(row):
    _, plain, *name = TABLE[row]
    name = name[0] if name else row[1].split()[0]
    for kind, (convert, why) in REFUSED.items():
        with pytest.raises((TypeError, ValueError)) as caught:
            call(row, convert(plain))
        message = str(caught.value)
        assert caught.match(f"{name}.*({why})"), (kind, message)
