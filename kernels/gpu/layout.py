"""Flat vectors in the layout of θ that kernels keep for themselves."""

from ntklin.kernels.gpu.arrays import namespace


def views(flat, shapes, has_bias):
    """[(W^l, b^l or None), …] as views of a flat vector.

    Parameters
    ----------
    flat : ndarray, shape (P,)
    shapes : sequence of (m_l, m_{l-1})
    has_bias : bool

    Returns
    -------
    list of (W^l, b^l or None)
    """
    layers, start = [], 0
    for m, k in shapes:
        W = flat[start : start + m * k].reshape(m, k)
        start += m * k
        b = flat[start : start + m] if has_bias else None
        start += m * has_bias
        layers.append((W, b))
    return layers


def flat_copy(layers):
    """The flat vector of layers (W^l, b^l or None), a copy."""
    parts = [part.ravel() for layer in layers for part in layer if part is not None]
    return namespace(parts[0]).concatenate(parts)


def write_layers(source, target):
    """Copy layers to layers of the same shapes."""
    for pair, other in zip(source, target, strict=True):
        for part, place in zip(pair, other, strict=True):
            if place is not None:
                place[...] = part
