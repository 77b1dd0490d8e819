"""The classifier."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from ntklin.edge.arrays import Array
from ntklin.recipes.estimators.estimator import WideNetwork
from ntklin.recipes.estimators.scikit_learn import (
    ClassifierMixin,
    check_classification_targets,
    validate_data,
)
from ntklin.recipes.estimators.weighted_samples import weighted


class NTKClassifier(ClassifierMixin, WideNetwork):
    """Classification by a wide network after training with the squared loss, exactly.

    One output with targets ±1 for two classes; for C > 2 classes C outputs with 1 for the class and
    −1 for the others. All else is as of :class:`ntklin.NTKRegressor`, its parameters and its
    attributes too.

    There are no probabilities: outputs of the squared loss are none, and what scatters at infinite
    width are networks, not labels. ``sklearn.calibration.CalibratedClassifierCV`` makes some of
    ``decision_function``.

    Attributes
    ----------
    classes_ : ndarray, shape (C,)

    Examples
    --------
    >>> import ntklin
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> ntklin.NTKClassifier().fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.9
    True
    """

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Find where training ends, or is after ``steps`` steps.

        Parameters
        ----------
        X : array_like, shape (N, d)
        y : array_like, shape (N,)
            Labels of any kind.
        sample_weight : array_like, shape (N,), optional
            As of ``NTKRegressor.fit``.

        Returns
        -------
        NTKClassifier
            Itself.

        Raises
        ------
        ValueError
            For fewer than two classes, and as ``NTKRegressor.fit``.
        """
        inputs, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        inputs, labels, s = weighted(inputs, labels, sample_weight)
        self.classes_, index = np.unique(labels, return_inverse=True)
        C = len(self.classes_)
        if C < 2:
            raise ValueError(f"two classes at least are needed, but y has one class: {labels[0]}")
        one_hot = np.eye(C, dtype=inputs.dtype)[index] if C > 2 else index.astype(inputs.dtype)
        self._fit_targets(inputs, 2 * one_hot - 1, s)
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """The outputs f_t(X), the mean over initializations at infinite width.

        Parameters
        ----------
        X : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,) for two classes, else (N_new, C)
            Of two classes, above 0 for the second.
        """
        return self._outputs(self._inputs(X))

    def predict(self, X: ArrayLike) -> Array:
        """The class of the largest output.

        Parameters
        ----------
        X : array_like, shape (N_new, d)

        Returns
        -------
        ndarray, shape (N_new,)
        """
        outputs = self.decision_function(X)
        index = outputs.argmax(axis=1) if outputs.ndim == 2 else (outputs > 0).astype(int)
        return self.classes_[index]
