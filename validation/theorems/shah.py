"""Shah et al. (2018): the smallest norm need not generalize best.

They answer Wilson et al. (2017) by linear problems on which adaptive methods generalize better than
gradient descent. The data here are of that kind, and of ntklin's own making, so that both limits
have a closed form: as in ``wilson``, f(x) = ⟨w, x⟩ from w = 0, and n_+ > n_- ≥ 1 labels y = ±1. An
input has y for its first three entries, 2 for the fourth, and in places of its own 1 thirteen times
if y = 1, and 17 once if y = −1.

With s = sgn(X^T y), X s = 18y: the adaptive methods end at s/18, where every entry counts by its
size, and a new input gets (3y + 2)/18, which has the sign of y. In the smallest norm entries count
by their squares: the 2 that all inputs share weighs more than the three that tell the class, and
the 17 explains the inputs of the smaller class all but alone. A new input gets

    (48 n_+ n_- + 2023 n_+ − 13 n_-)/d for y = 1,   (289 n_+ − 48 n_+ n_- − 91 n_-)/d for y = −1,
    d = 48 n_+ n_- + 2023 n_+ + 91 n_- + 3757,

both of which are positive for n_+ up to five: gradient descent takes every new input for the larger
class. In rational arithmetic, with random n_+, n_- and scalars: no tolerance.
"""

from ntklin.validation.theorems.check import Statement
from ntklin.validation.theorems.rationals import Regression
from ntklin.validation.theorems.two_classes import TwoClasses, adaptive_limit, checks

DATA = TwoClasses(n_signals=3, constants=(2,), own={1: (1,) * 13, -1: (17,)}, most=5)

STATEMENT = Statement(
    key="shah",
    title="Shah et al. (2018)",
    claim="on one data set gradient descent takes every new input for the larger class",
    text=__doc__,
    checks=checks(
        DATA,
        "(3y + 2)/18",
        right=("the adaptive methods", adaptive_limit),
        wrong=("gradient descent", Regression.limit),
    ),
)
