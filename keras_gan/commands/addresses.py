"""Where a server listens: the flags of commands that serve, and what they say of it."""

import ipaddress
import sys

from absl import flags


def define(values: flags.FlagValues, port: int):
    """Defines --host and --port.

    Args:
        values: the command's flags.
        port: int, the default.
    """
    flags.DEFINE_string(
        "host", "127.0.0.1", "Where it listens. See below.", flag_values=values
    )
    flags.DEFINE_integer(
        "port",
        port,
        "Its port; 0 takes a free one.",
        lower_bound=0,
        upper_bound=65535,
        flag_values=values,
    )


def announce(url: str, host: str):
    """Prints the URL, after a warning where other machines may reach it."""
    if not _is_loopback(host):
        print(
            f"warning: Other machines may reach {host}: there is no TLS and no "
            "password. Put a proxy that has them before it.",
            file=sys.stderr,
            flush=True,
        )
    print(f"Serving {url} (Ctrl-C ends it)", flush=True)


def _is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
