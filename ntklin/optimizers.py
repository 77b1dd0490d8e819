"""Optimizers as rules on flat arrays; they know no network."""

from dataclasses import dataclass

from ntklin._validate import as_learning_rate


@dataclass(frozen=True)
class GradientDescent:
    """Gradient descent, θ_{t+1} = θ_t − η ∇L(θ_t).

    Parameters
    ----------
    learning_rate : float, optional
        η for the loss L = ‖f(X) − Y‖²/(2N). When not given, 0.5 N/λ_max(K(X, X)) at θ_0, a quarter
        of the stability bound 2N/λ_max of the linearized network (App. D, whose 0.5/λ_max absorbs
        the 1/N of the loss).
    """

    learning_rate: float | None = None

    def __post_init__(self):
        if self.learning_rate is not None:
            object.__setattr__(self, "learning_rate", as_learning_rate(self.learning_rate))

    def init(self, theta):
        """The optimizer's state at the start: none."""
        return None

    def update(self, state, theta, gradient):
        """Take one step on ``theta`` in place and return the new state."""
        theta -= theta.dtype.type(self.learning_rate) * gradient
        return state
