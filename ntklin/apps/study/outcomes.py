"""How the training of a network in a study can end."""

CONVERGED = "converged"
STEP_LIMIT = "step limit"
DIVERGED = "diverged"
NOT_TRAINED = "not trained"
