"""A study in small, which compiles what the study needs: see ``ntklin.apps.cli.ahead``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ntklin.apps.study.config import StudyConfig
from ntklin.apps.study.linearized import stepwise_end
from ntklin.apps.study.methods import METHODS
from ntklin.apps.study.optimizer_comparison import optimizer_results
from ntklin.apps.study.real import train_real
from ntklin.apps.study.scale_sweep import scale_results
from ntklin.apps.study.start import Start, draw
from ntklin.data import Dataset
from ntklin.edge.arrays import Array
from ntklin.runs.batches import Batches
from ntklin.runs.optimizers import GradientDescent

# Kernels are chosen by sizes: there are others for fewer than 4 samples, from some number on below
# this, which depends on how many zeros there are, and for vectors of more than 2^14 numbers, which
# these layers' weights are.
MANY = 80
FEATURES, WIDTH = 64, 512
STEPS = 2
RATE = 1e-3


def in_small(config: StudyConfig) -> StudyConfig:
    """The same study of random samples on narrow layers: one σ, one seed, a few steps.

    Parameters
    ----------
    config : StudyConfig

    Returns
    -------
    StudyConfig
        What is compiled for it is what is compiled for ``config``, but where that has classes of
        very different sizes.
    """
    data = config.data
    train = random_samples(data.X_train, data.n_outputs, 0)
    test = random_samples(data.X_test, data.n_outputs, 1)
    return replace(
        config,
        data=Dataset(data.name, *train, *test, data.provenance, classes=data.classes),
        hidden_widths=tuple(min(width, WIDTH) for width in config.hidden_widths),
        sigmas=(config.optimizer_sigma,),
        seeds=config.seeds[:1],
        max_steps=STEPS,
    )


def random_samples(like: Array, n_outputs: int, seed: int) -> tuple[Array, Array]:
    """Inputs of unit length and targets of classes, as few as choose the kernels of ``like``.

    As many of the inputs' numbers are zero as are there.

    Returns
    -------
    X : ndarray, shape (n, FEATURES)
    Y : ndarray, shape (n,), or (n, C) of more than one output
    """
    n, rng = min(len(like), MANY), np.random.default_rng(seed)
    X = rng.standard_normal((n, FEATURES))
    X[:, 1:] *= rng.random((n, FEATURES - 1)) < np.count_nonzero(like) / max(1, like.size)
    X /= np.linalg.norm(X, axis=1)[:, None]
    labels = np.arange(n) % max(n_outputs, 2)
    return X, labels.astype(float) if n_outputs == 1 else np.eye(n_outputs)[labels]


def rehearse(config: StudyConfig) -> None:
    """Run a small study, from what the study comes to last.

    Parameters
    ----------
    config : StudyConfig
        From :func:`in_small`.
    """
    seed = config.seeds[0]
    theta, net = draw(config, seed), config.network(config.optimizer_sigma)
    others = [METHODS[name] for name in config.optimizers if not METHODS[name].closed]
    made = [
        (
            config.scheduled(config.maker(method)(RATE)),
            Batches(config.split, rng=seed) if method.stochastic else None,
        )
        for method in others
    ]
    if config.train:
        for optimizer, batches in [(GradientDescent(RATE), None), *made]:
            train_real(config, net, theta, optimizer, steps=STEPS, batches=batches, warn=False)
    if made:
        start = Start.make(config, config.optimizer_sigma, theta)
        for optimizer, batches in made:
            stepwise_end(config, start, optimizer, batches, steps=STEPS)
    for results in (optimizer_results(config), scale_results(config)):
        for _ in results:
            pass
