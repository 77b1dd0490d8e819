"""What a command says of the files that it wrote."""

from pathlib import Path


def tell_written(console, out, paths):
    """Say where a command's files are; an unfinished result may be beside a finished one.

    Parameters
    ----------
    console : rich.console.Console
    out : str
        The folder that was asked for.
    paths : list of pathlib.Path
    """
    from rich.text import Text

    from ntklin.edge.files.names import shown

    folder = out
    if paths[0].parent != Path(out):
        folder = paths[0].parent
        kept = f"The finished result in {shown(out)} stays; this one is not finished."
        console.print(Text(kept), soft_wrap=True)
    names = ", ".join(path.name for path in paths)
    console.print(Text(f"Written to {shown(folder)}: {shown(names)}"), soft_wrap=True)
