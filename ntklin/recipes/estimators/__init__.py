"""scikit-learn's view of wide networks: estimators and a kernel. Loads scikit-learn."""

from ntklin.recipes.estimators.classifier import NTKClassifier
from ntklin.recipes.estimators.kernel import NTKKernel
from ntklin.recipes.estimators.regressor import NTKRegressor

__all__ = ["NTKClassifier", "NTKKernel", "NTKRegressor"]
