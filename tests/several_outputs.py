"""A network of C outputs whose Jacobian is explicit, for what theory does with N·C rows."""

import numpy as np

import ntklin
from ntklin.networks.network import FeatureOperator


class Model:
    """f_c(x) = Σ_p θ_p tanh(T_cp · x): linear in θ, with independent features for each output."""

    def __init__(self, n_outputs=3, n_parameters=40, n_inputs=2, seed=0):
        rng = np.random.default_rng(seed)
        self.T = rng.standard_normal((n_outputs, n_parameters, n_inputs))
        self.n_outputs, self.n_parameters, self.n_inputs = self.T.shape

    def jacobian(self, X):
        """J, (N·C, P), row n·C + c."""
        J = np.tanh(np.einsum("cpd,nd->ncp", self.T, X))
        return J.reshape(-1, self.n_parameters)

    def apply(self, theta, X, /):
        outputs = (self.jacobian(X) @ theta).reshape(len(X), self.n_outputs)
        return outputs[:, 0] if self.n_outputs == 1 else outputs

    def features(self, theta, X, /):
        return Features(self, theta, X)


class Features(FeatureOperator):
    """Its features, J stored."""

    def __init__(self, network, theta, X):
        self.network, self.parameters, self.inputs = network, theta, X
        self.J = network.jacobian(X).astype(X.dtype)
        self.outputs = network.apply(theta, X).astype(X.dtype)
        super().__init__(self.J.dtype, self.J.shape)

    def _matvec(self, x):
        return self.J @ x.reshape(-1)

    def _rmatvec(self, x):
        return self.J.T @ x.reshape(-1)

    def gram(self, other=None, weights=None):
        J = self.J if weights is None else self.J * weights
        return J @ (self.J if other is None else other.J).T


class Problem:
    """A model with θ_0, inputs and targets, all drawn from one seed."""

    def __init__(self, n_outputs=3, n=4, n_new=5, seed=0, dtype=np.float64, **options):
        rng = np.random.default_rng(seed)
        self.net = Model(n_outputs, seed=seed, **options)
        self.theta = rng.standard_normal(self.net.n_parameters).astype(dtype)
        self.X, self.X_new = (
            rng.uniform(-0.7, 0.7, (k, self.net.n_inputs)).astype(dtype) for k in (n, n_new)
        )
        self.Y = rng.standard_normal((n, n_outputs))
        if n_outputs == 1:
            self.Y = self.Y[:, 0]
        self.lin = ntklin.linearize(self.net, self.theta, self.X)

    @property
    def J(self):
        return self.net.jacobian(self.X)

    @property
    def J_new(self):
        return self.net.jacobian(self.X_new)

    @property
    def f0(self):
        """f_0(X), (N·C,)."""
        return self.net.apply(self.theta, self.X).reshape(-1)

    @property
    def f0_new(self):
        return self.net.apply(self.theta, self.X_new).reshape(-1)
