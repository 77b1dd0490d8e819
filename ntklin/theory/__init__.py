"""The linearized network: kernels, closed forms in t, minimizers, recursions; never trains."""
