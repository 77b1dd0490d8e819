"""What one initialization at one scale σ gave."""

from dataclasses import dataclass, field, fields
from typing import Any

from ntklin.edge.arrays import Array


@dataclass(frozen=True, kw_only=True)
class ScaleResult:
    """One initialization at one scale σ: its linearization's predictions and the trained network.

    Losses are L(f) = ‖f(X) − Y‖²/(2N), summed over outputs, test losses the same on X_T, Y_T.
    Accuracies are shares of the test points, None for targets of no classes. What needs a trained
    network is None without one.

    Attributes
    ----------
    sigma : float
    seed : int
    lambda_min, lambda_max : float
        The extreme eigenvalues of K(X, X).
    learning_rate : float
        η = 0.5 N/λ_max.
    initial_loss : float
        The training loss at θ_0.
    steps_predicted : int
        After so many steps the linearized network's training loss first drops below ``until``.
    outcome : str
        "converged", "step limit", "diverged" or "not trained".
    steps_taken : int or None
        The real network's number of steps.
    final_loss : float or None
        The real network's training loss after them.
    test_loss_interpolator : float
        Of f_int, Eq. (3).
    test_loss_minimizer : float
        Of the linearized network's minimizer f_∞ = f_int + f_init, Thm 1.
    test_loss_linearized : float
        Of the linearized network f_t at ``compared_at`` steps.
    test_loss_network : float or None
        Of the trained network.
    accuracy_interpolator, accuracy_minimizer, accuracy_linearized, accuracy_network : float or None
        Of the same four.
    distance : float or None
        ‖f_θt(X_T) − f_t(X_T)‖/√N_T between the real and the linearized network at the same step.
    initialization_size : float
        ‖f_init(X_T)‖/√(2 N_T), which is σ^L J of Thm 2 where the biases are not in θ.
    initialization_size_infinite : float or None
        The root of what its square is on average at infinite width, σ^L √(E J²), the same for all
        seeds; None where there is no such limit.
    test_outputs : ndarray, shape (N_T,) or (N_T, C), or None
        The trained network's outputs on the test points, for the study's own use.
    """

    sigma: float
    seed: int
    lambda_min: float
    lambda_max: float
    learning_rate: float
    initial_loss: float
    steps_predicted: int
    outcome: str
    steps_taken: int | None = None
    final_loss: float | None = None
    test_loss_interpolator: float
    test_loss_minimizer: float
    test_loss_linearized: float
    test_loss_network: float | None = None
    accuracy_interpolator: float | None = None
    accuracy_minimizer: float | None = None
    accuracy_linearized: float | None = None
    accuracy_network: float | None = None
    distance: float | None = None
    initialization_size: float
    initialization_size_infinite: float | None = None
    test_outputs: Array | None = field(default=None, repr=False, compare=False)

    @property
    def compared_at(self) -> int | None:
        """The step t of ``test_loss_linearized``: the trained network's, else the predicted one."""
        return self.steps_predicted if self.test_loss_network is None else self.steps_taken

    def numbers(self) -> dict[str, Any]:
        """All that a report shows, as a dict."""
        names = (f.name for f in fields(self) if f.name != "test_outputs")
        return {name: getattr(self, name) for name in names}
