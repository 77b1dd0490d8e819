"""Wilson et al. (2017): a data set on which adaptive methods generalize worse than SGD.

The model is linear, f(x) = ⟨w, x⟩ from w = 0, the labels are y = ±1, and n_+ > n_- ≥ 1 of them. An
input has y for its first entry, 1 for its second and third, and 1 in places of its own, where all
other inputs have 0: in one place if y = 1, in five if y = −1. The first entry tells the class; the
others are always there, or never again.

All gradients lie along X^T y, so that AdaGrad, RMSprop and Adam are D = diag(|X^T y|_j)^{-1} with
a scalar for each step, as in Example 1; and because X s = 4y for s = sgn(X^T y), every w_t is a
multiple of s, and the limit is s/4. A new input, whose own places have not been seen, gets
(y + 2)/4: both classes look like the larger one. Gradient descent ends at the smallest norm, where

    ⟨w, x⟩ = (8 n_+ n_- + 15 n_+ − n_-)/d for y = 1,   −(8 n_+ n_- − 5 n_+ + 3 n_-)/d for y = −1,
    d = 8 n_+ n_- + 15 n_+ + 3 n_- + 5,

which has the sign of y. Both are Eq. (9), with D and with D = 1. In rational arithmetic, with
random n_+, n_- and scalars: no tolerance. ``shah`` has data on which it is the other way round.
"""

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import Regression
from ntklin.validation.theorems.two_classes import TwoClasses, adaptive_limit, checks

DATA = TwoClasses(n_signals=1, constants=(1, 1), own={1: (1,), -1: (1,) * 5}, most=5)

STATEMENT = Statement(
    key="wilson",
    title="Wilson et al. (2017)",
    claim="on one data set adaptive methods take every new input for the larger class",
    text=__doc__,
    checks=checks(
        DATA,
        "(y + 2)/4",
        right=("gradient descent", Regression.limit),
        wrong=("the adaptive methods", adaptive_limit),
    ),
)
