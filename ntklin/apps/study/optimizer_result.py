"""What one optimizer gave from one initialization."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class OptimizerResult:
    """One optimizer from one initialization: where its linearized and its real network end.

    Losses and accuracies are as in ``ScaleResult``; distances are root mean squares over the test
    points. What needs a trained network is None without one, and what needs the linearized one
    where that diverged.

    Attributes
    ----------
    optimizer : str
        By its name in ``METHODS``.
    seed : int
    sigma : float
    split : float or None
        |B|/N with mini-batches.
    learning_rate : float or None
        η = 0.5 N/λ_max for gradient descent; else the largest, to within 20 %, whose loss only
        falls on the linearized network with all samples. Halved until no network diverges, and
        none of an adaptive method is stuck above the target. None where no step is taken. A
        schedule multiplies it.
    outcome_linearized, outcome : str
        "converged", "step limit" or "diverged"; that of the real network can be "not trained".
    steps_linearized, steps_taken : int, int or None
        Of the linearized and of the real network, until the training loss first drops below
        ``until``.
    final_loss_linearized, final_loss : float or None
        The training losses after them.
    test_loss_minimizer : float
        Of gradient descent's minimizer f_∞, the same for all optimizers.
    test_loss_linearized : float or None
        Of the linearized network at its own end.
    test_loss_network : float or None
        Of the real network at its own end.
    test_loss_interpolating : float or None
        Of the interpolating part of the linearized network's end state, Thms 3 and 6.
    accuracy_linearized, accuracy_network, accuracy_interpolating : float or None
        Of the same three.
    path_dependent_size : float or None
        Of the path-dependent part, ‖φ(X_T) B_t‖/√N_T; 0 up to rounding where D is constant.
    minimizer_distance_linearized, minimizer_distance : float or None
        Of the linearized and of the real network at their ends from f_∞.
    gd_distance : float or None
        Of the real network from the one that gradient descent trained.
    distance : float or None
        Of the real from the linearized network at the real one's last step, as in ``ScaleResult``.
    """

    optimizer: str
    seed: int
    sigma: float
    split: float | None = None
    learning_rate: float | None
    outcome_linearized: str
    outcome: str
    steps_linearized: int
    steps_taken: int | None = None
    final_loss_linearized: float | None = None
    final_loss: float | None = None
    test_loss_minimizer: float
    test_loss_linearized: float | None = None
    test_loss_network: float | None = None
    test_loss_interpolating: float | None = None
    accuracy_linearized: float | None = None
    accuracy_network: float | None = None
    accuracy_interpolating: float | None = None
    path_dependent_size: float | None = None
    minimizer_distance_linearized: float | None = None
    minimizer_distance: float | None = None
    gd_distance: float | None = None
    distance: float | None = None
