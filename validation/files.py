"""Files that appear whole or not at all."""

import os
from pathlib import Path
from uuid import uuid4


def write_whole(path, content):
    """Write a file beside its place and move it there; what was there stays until then.

    Parameters
    ----------
    path : path
        Its folder is created if need be.
    content : bytes or str
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
