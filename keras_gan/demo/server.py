"""Serves the page, on one address, until it is told to stop."""

import contextlib
import logging
import os
import pathlib
import signal
import socket
import tempfile

from keras_gan import checks

# What a browser may load for the page: only what comes from here. gradio makes styles
# and workers of its own at run time.
_POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "worker-src 'self' blob:",
        "frame-ancestors 'self'",
    )
)


def listening(host: str, port: int) -> socket.socket:
    """Returns a socket that listens.

    Args:
        host: str, an address or a name of this machine.
        port: int; 0 takes a free one.

    Raises:
        OSError: the port is taken, or the address is none of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
        return listener
    except OSError as error:
        raise OSError(
            f"Expected a free port and an address of this machine. Received: "
            f"{host}:{port} ({checks.one_line(error)}); choose another port, or 0 for "
            "a free one"
        ) from error


def serve(studio, host="127.0.0.1", port=7860, started=lambda url: None):
    """Serves a studio's page until SIGINT, SIGTERM or SIGHUP.

    Its files lie in a temporary directory, which is removed at the end.

    Args:
        studio: `studio.Studio`.
        host, port: see `listening`.
        started: a function that is told the URL.

    Raises:
        OSError: see `listening`.
        ModuleNotFoundError: the extra `demo` is not installed.
    """
    checks.require("gradio", extra="demo")
    uvicorn = checks.require("uvicorn", extra="demo")
    listener = listening(host, port)
    directory = tempfile.TemporaryDirectory(prefix="keras_gan_demo_")
    with _until_told(), listener, directory as folder:
        before = os.environ.get("GRADIO_TEMP_DIR")
        os.environ["GRADIO_TEMP_DIR"] = str(pathlib.Path(folder) / "cache")
        try:
            settings = uvicorn.Config(
                application(studio, pathlib.Path(folder) / "files", host),
                log_level="error",
                lifespan="on",
                timeout_graceful_shutdown=2,
            )
            shown = f"[{host}]" if ":" in host else host
            started(f"http://{shown}:{listener.getsockname()[1]}")
            server = uvicorn.Server(settings)
            with _silent_at_its_end(server):
                server.run(sockets=[listener])
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


@contextlib.contextmanager
def _until_told():
    """Lets SIGINT, SIGTERM and SIGHUP end a block, and not the process.

    uvicorn raises the first two again when it has ended, and does not know the third,
    which comes when a terminal is closed. By default both others would end the process
    before its files are removed.
    """

    def hang_up(number, frame):
        signal.raise_signal(signal.SIGTERM)

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, signal.default_int_handler)}
    # Windows has none, and `nohup` ignores it.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hang_up)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _silent_at_its_end(server):
    """Drops what uvicorn logs once it was told to end.

    Each open tab keeps a request open. uvicorn cuts it off, with a traceback.
    """

    def is_running(record):
        return not server.should_exit

    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(is_running)
    try:
        yield
    finally:
        logger.removeFilter(is_running)


def application(studio, folder, host="127.0.0.1"):
    """Returns the page of a studio as an ASGI application.

    Args:
        studio: `studio.Studio`.
        folder: `pathlib.Path` for downloads.
        host: str, where it is served.
    """
    import fastapi
    import gradio as gr

    from keras_gan.demo import page

    # No pages that describe an interface: it is for the page alone.
    undescribed = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    blocks = page.Page(studio, folder).blocks
    # Until a page is launched, gradio checks no path that a request names, and would
    # copy any file of this machine to where it can be fetched. Mounting launches none.
    blocks.has_launched = True
    app = fastapi.FastAPI(**undescribed)
    app.add_middleware(_Policy)
    theme = gr.themes.Default(font=list(page.THEME_FONTS), font_mono=["monospace"])
    # gradio's own grey is hard to read.
    theme.set(block_info_text_color="*neutral_600")
    return gr.mount_gradio_app(
        app,
        blocks,
        path="",
        server_name=host,
        footer_links=[],
        run_history=False,
        app_kwargs=undescribed,
        allowed_paths=[str(folder)],
        show_error=False,
        max_file_size=studio.limits.max_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        theme=theme,
        css=page.CSS,
    )


class _Policy:
    """Tells browsers to load nothing from other servers."""

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", _POLICY.encode())
                message["headers"] = [*message["headers"], policy]
            await send(message)

        await self._app(scope, receive, send_with_policy)
