"""What the estimators take of scikit-learn; where that is missing, bases that say so when called.

So that whatever looks at public names, as editors and documentation do, works without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ntklin.edge.errors import MissingPackageError

try:
    import sklearn  # noqa: F401
except ModuleNotFoundError as e:
    if e.name != "sklearn":
        raise
    IS_INSTALLED = False
else:
    IS_INSTALLED = True

if TYPE_CHECKING or IS_INSTALLED:
    from sklearn.base import BaseEstimator, ClassifierMixin, MultiOutputMixin, RegressorMixin
    from sklearn.gaussian_process.kernels import Hyperparameter, Kernel
    from sklearn.utils import check_random_state, validation
    from sklearn.utils.multiclass import check_classification_targets

    # Whose types would be guessed from their defaults.
    check_is_fitted: Any = validation.check_is_fitted
    validate_data: Any = validation.validate_data
else:

    class BaseEstimator:
        """A base of what cannot be made."""

        def __new__(cls, *_: Any, **__: Any) -> Any:
            """Refuse.

            Raises
            ------
            MissingPackageError
                Always; it names the extra.
            """
            name = f"ntklin.{cls.__name__}"
            raise MissingPackageError(name, "scikit-learn", "sklearn", extra="sklearn")

    class Kernel(BaseEstimator):
        """Another."""

    class ClassifierMixin:
        """Nothing."""

    class MultiOutputMixin:
        """Nothing."""

    class RegressorMixin:
        """Nothing."""

    Hyperparameter = check_random_state = check_classification_targets = None
    check_is_fitted = validate_data = None

__all__ = [
    "BaseEstimator",
    "ClassifierMixin",
    "Hyperparameter",
    "Kernel",
    "MultiOutputMixin",
    "RegressorMixin",
    "check_classification_targets",
    "check_is_fitted",
    "check_random_state",
    "validate_data",
]
