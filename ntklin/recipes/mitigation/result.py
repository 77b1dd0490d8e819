"""What the algorithm found, and why it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.edge.errors import Portable
from ntklin.edge.faces.shown import Facts, Shown, facts, outline
from ntklin.networks.mlp import MLP
from ntklin.networks.network import named
from ntklin.recipes.mitigation.trial import Trial
from ntklin.training.training_run import TrainingRun

NO_DECREASE = "no significant decrease"
TOO_SLOW = "impractically slow"
SMALLEST = "smallest sigma reached"
DIVERGED = "diverged"
INTERRUPTED = "interrupted"


class MitigationInterrupted(Portable, KeyboardInterrupt):
    """Ctrl-C in ``mitigate_initialization``.

    Parameters
    ----------
    result : Mitigation or None
        Of the trials that were finished; None if there was none.
    """

    def __init__(self, result: Mitigation | None) -> None:
        done = 0 if result is None else len(result.everything)
        super().__init__(f"interrupted after {done} trained network{'' if done == 1 else 's'}")
        self.result = result


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Mitigation(Shown):
    """The trained network with the smallest validation loss, and how it was found (Sect. 3).

    Attributes
    ----------
    trials : tuple of Trial
        One per σ, in the order in which they ran: σ against validation loss, training loss, steps
        and the size of f_init.
    stopped : str
        Why there are not more of them. "no significant decrease": the last trial's validation loss
        is not below (1 − margin) times the one before, step (c). "impractically slow": the last
        trial hit the limit of steps or time, step (d). "smallest sigma reached": the next σ would
        be below ``min_sigma``. "diverged": training diverged at the last σ, where the network is
        too narrow for the learning rate of its linearization. "interrupted".
    best : Trial
        The one of smallest validation loss among those that converged, step (e); if none did,
        among all.
    run : TrainingRun
        The training of the best.
    baselines : tuple of Trial
        At the starting σ, from the same θ_0: the doubled network, then the antisymmetrical pair.
    decayed : Trial or None
        At the starting σ, from the same θ_0, with weight decay up to its half-life.
    factor, margin : float
        σ is multiplied by ``factor`` from trial to trial; ``margin`` is what counts as significant.
    """

    trials: tuple[Trial, ...]
    stopped: str
    best: Trial
    run: TrainingRun
    baselines: tuple[Trial, ...] = ()
    decayed: Trial | None = None
    factor: float
    margin: float

    def _facts(self) -> Facts:
        best = self.best
        return facts(
            "Mitigation",
            network=named(self.run.network),
            trials=len(self.trials),
            baselines=len(self.baselines) or None,
            stopped=self.stopped,
            sigma=f"{outline(self.trials[0].sigma)} to {outline(self.trials[-1].sigma)}",
            best_sigma=best.sigma,
            training_loss=best.training_loss,
            validation_loss=best.validation_loss,
            test_loss=best.test_loss,
        )

    @property
    def everything(self) -> tuple[Trial, ...]:
        """Trials, baselines and the one with weight decay, in the order in which they ran."""
        return (*self.trials, *self.baselines, *(() if self.decayed is None else (self.decayed,)))

    @property
    def network(self) -> MLP:
        """The network of the best trial."""
        return cast(MLP, self.run.network)

    @property
    def parameters(self) -> Array:
        """Its trained parameters, (P,)."""
        return self.run.parameters

    @property
    def sigma(self) -> float:
        """Its σ."""
        return self.network.sigma

    def predict(self, X: ArrayLike) -> Array:
        """Its outputs, shape (N,).

        Parameters
        ----------
        X : array_like, shape (N, d)

        Returns
        -------
        ndarray, shape (N,)
        """
        return self.run.predict(X)


def rank(trial: Trial) -> tuple[bool, float | None]:
    """Smaller is better: those that converged first, then by validation loss."""
    return not trial.converged, trial.validation_loss
