"""What the initialization leaves at infinite width, in closed form: E J² of Thm 2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ntklin.apps.study.config import StudyConfig
from ntklin.edge.errors import NtklinError
from ntklin.theory.infinite_mlp import InfiniteMLP


@dataclass(frozen=True)
class InfiniteWidth:
    """The sizes of f_init at infinite width, or why there are none.

    Attributes
    ----------
    sizes : dict of float to float
        σ^L √(E J²), the root of mean_x E f_init(x)²/2 over the test points, summed over outputs,
        by σ: what ``initialization_size`` is at finite width.
    missing : str
        Why there are none, without a full stop; empty where there are.
    """

    sizes: dict[float, float]
    missing: str = ""

    @classmethod
    def of(cls, config: StudyConfig) -> InfiniteWidth:
        """Those of a study, which depend on no seed.

        In float64 on the CPU whatever the study's: it is N × N work, once for each σ.

        Returns
        -------
        InfiniteWidth
        """
        X, Y, X_test = (
            np.asarray(a, np.float64)
            for a in (config.data.X_train, config.data.Y_train, config.data.X_test)
        )
        sizes = {}
        try:
            for sigma in config.sigmas:
                lin = InfiniteMLP(config.network(sigma)).linearize(X)
                minimizer = lin.minimizer(Y, rcond=config.rcond)
                sizes[sigma] = math.sqrt(max(minimizer.expected_initialization_loss(X_test), 0.0))
        # No such limit, or one out of range, or inputs that it does not tell apart.
        except (ValueError, NtklinError) as e:
            return cls({}, str(e))
        return cls(sizes)
