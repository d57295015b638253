"""``aqakit serve``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from aqakit import discovery
from aqakit.errors import OptionError
from aqakit.system.files import default_cache


def serve(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    token: Annotated[
        str | None, typer.Option(envvar="AQAKIT_TOKEN", help="Secret that visitors must give; none: open to anyone.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder for the queue, videos and scores (in the cache).")] = None,
    megabytes: Annotated[int, typer.Option(min=1, help="Largest video accepted, in MB.")] = 200,
    name: Annotated[
        list[str] | None, typer.Option(help="Another name by which visitors reach this machine; repeatable.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that score videos at the same time, each with the runs in memory.")
    ] = 1,
    hours: Annotated[
        float | None, typer.Option(min=0, help="Hours for which an uploaded video is kept (24; a desk: for ever).")
    ] = None,
) -> None:
    """Serve a web page that scores uploaded videos.

    The page shows each score and which part of the video made it.
    """
    try:
        web = discovery.import_module("aqakit.web.server")
    except ModuleNotFoundError as error:
        raise OptionError(f"the page needs {error.name}: pip install 'aqakit[web]'") from None
    if token is None:  # an empty variable counts as none for Typer
        token = os.environ.get("AQAKIT_TOKEN")
    kept = folder or default_cache() / "serve"
    options = {"token": token, "megabytes": megabytes, "hours": hours, "names": name or (), "workers": workers}
    web.serve(folders, host=host, port=port, folder=kept, **options)
