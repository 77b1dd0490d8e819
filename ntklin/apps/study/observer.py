"""Who is told how a study goes on."""


class StudyObserver:
    """Is told how a study's runs go on; this one does nothing.

    A run is of one scale σ in the sweep, and of one optimizer in the comparison.
    """

    def started(self, subject, seed):
        """Work begins on this scale σ, or on the optimizer of this name."""

    def searched(self, learning_rate, step, loss):
        """A trial of this learning rate is at ``step`` of the linearized network."""

    def linearized(self, step, loss):
        """The linearized network is at ``step``."""

    def predicted(self, initial_loss, steps):
        """The linearized network is done: the real one starts at this loss and may take these."""

    def trained(self, step, loss):
        """The real network is at ``step``; called about ten times a second."""

    def finished(self, result):
        """The result is complete, and whoever runs the study has it."""
