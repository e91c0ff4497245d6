"""`facemask app`: the page on this machine."""

import ipaddress
import os
import signal
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from facemask._distribution import pip_install
from facemask.app.extraction import Extractions, find_models
from facemask.errors import InputError
from facemask.plotting import check_matplotlib
from facemask.terminal import console_for_words
from facemask.threads import limit_threads


def app(
    *,
    models: Sequence[str] = ("default",),
    host: str = "127.0.0.1",
    port: int = 7860,
    browser: bool = False,
    device: str = "auto",
) -> None:
    """Open a web page on this machine that gives face masks of videos, photos and a camera.

    Ends with Ctrl-C. Files and results lie in a temporary folder that is removed then; nothing is
    sent to other machines.

    Args:
        models: Weights that come with facemask (default, open), saved cascades (.safetensors),
            checkpoints of whole faces, folders of these, and Hugging Face repository ids.
        host: Address to answer at; 0.0.0.0 lets everyone in the network use the page.
        port: Port to answer at.
        browser: Open the page in the web browser.
        device: auto, cpu, cuda, cuda:1 and so on.

    Raises:
        InputError: There is no model, an option is wrong, the port is taken, or Gradio is missing.
    """
    found = find_models(models)
    if find_spec("gradio") is None:
        raise InputError(f"the page needs Gradio, which is missing: {pip_install('app')}.")
    check_matplotlib()
    _check_address(host, port)
    limit_threads()
    with tempfile.TemporaryDirectory(prefix="facemask-app-", ignore_cleanup_errors=True) as folder:
        extractions = Extractions(found, Path(folder), device)
        # Gradio keeps uploads there; its code reads both when it is imported and later
        os.environ["GRADIO_TEMP_DIR"] = folder
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["GRADIO_RUN_HISTORY"] = "False"
        from facemask.app.page import Page  # takes seconds, so errors come first

        page = Page(extractions)
        with _ended_by_signal() as ended, suppress(KeyboardInterrupt):
            url = page.launch(host, port)
            _tell(url, host)
            if browser:
                webbrowser.open(url)
            ended.wait()
        page.close()


def _check_address(host: str, port: int) -> None:
    """Raise an `InputError` unless the page can answer there."""
    if not 0 < port < 65536:
        raise InputError(f"port is {port}, expected 1 to 65535.")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        place = f"{host}, port {port}"
        raise InputError(
            f"cannot answer at {place} ({error.strerror}): give another --host or --port."
        ) from error


@contextmanager
def _ended_by_signal() -> Iterator[threading.Event]:
    """An event that a polite `kill` sets, so that the temporary folder is removed then too."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    if threading.current_thread() is not threading.main_thread():
        yield ended
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(url: str, host: str) -> None:
    console = console_for_words(stderr=True)
    console.print(f"The page is at {url} (Ctrl-C ends it).")
    if not _is_own(host):
        console.print(
            "Everyone who can reach this machine can use it: there is no password. "
            "Browsers give the camera to pages at 127.0.0.1 and over https only.",
            style="yellow",
        )


def _is_own(host: str) -> bool:
    """Return whether an address can be reached from this machine alone."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
