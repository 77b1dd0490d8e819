"""What kernels take together: arrays and numbers that belong together travel together.

The layers' scales are those of h^l = w_l W^l a^{l-1} + v_l b^l, with v_l = 0 where a layer has no
bias.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from ntklin.kernels.activations import RELU, Body


class Layers(NamedTuple):
    """Consecutive layers of a network.

    Attributes
    ----------
    parameters : sequence of (W^l, b^l or None)
    w, v : sequences of float
        The scales w_l, v_l.
    activation : Body
        α of the hidden layers.
    """

    parameters: Sequence
    w: Sequence
    v: Sequence
    activation: Body = RELU


class Activations(list):
    """a^0 = X, …, a^{L-1}, shapes (N, m_l), and where they came from.

    Attributes
    ----------
    slopes : list of ndarray, or None
        α'(h^1), …, α'(h^{L-1}); None for ReLU, of which a > 0 tells as much.
    are_doubtful : bool
        False if the pass has seen that every weight and bias is finite.
    """

    def __init__(self, activations, slopes=None, are_doubtful=True):
        super().__init__(activations)
        self.slopes, self.are_doubtful = slopes, are_doubtful

    def rows(self, index):
        """Those of some of the inputs; ``index`` is one of NumPy's."""
        slopes = None if self.slopes is None else [s[index] for s in self.slopes]
        return Activations((a[index] for a in self), slopes, self.are_doubtful)


def of_inputs(signals, index, n_outputs):
    """Rows n C + c of a run of the inputs n.

    Parameters
    ----------
    signals : ndarray, shape (N C, m)
    index : slice
    n_outputs : int
        C.

    Returns
    -------
    ndarray, shape (n C, m)
    """
    by_input = signals.reshape(-1, n_outputs, signals.shape[-1])[index]
    return by_input.reshape(-1, signals.shape[-1])


class Layer(NamedTuple):
    """One layer h = w W a + v b in compiled code, its scales in the arrays' dtype."""

    W: Any
    b: Any
    w: Any
    v: Any


class Passes(NamedTuple):
    """What a forward and a backward pass leave, which is all that products with J need.

    Attributes
    ----------
    activations : sequence of ndarray
        a^0 = X, …, a^{L-1}, shapes (N, m_l).
    deltas : sequence of ndarray
        The backward signals δ^1, …, δ^L, shapes (N C, m_l): row n C + c is that of output c.
    w, v : sequences of float
        The layers' scales.
    """

    activations: Sequence
    deltas: Sequence
    w: Sequence
    v: Sequence


class DescentState(NamedTuple):
    """The first layer of a network in gradient descent, in its Gram reduction.

    Attributes
    ----------
    H, moved : ndarray, shape (m, N)
        The preactivations at the latest ``fold``, and by how much they have moved since.
    S, S_moved : ndarray, shape (m, N)
        Σ_t δ^1 ∘ r up to the latest ``fold``, and since then.
    """

    H: Any
    moved: Any
    S: Any
    S_moved: Any
