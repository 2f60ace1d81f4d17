"""The array alone: `python3 -m lab.array --state DIR ...`.

Prints one line when clients can connect, and runs until SIGTERM or SIGINT. Started again with the same state it goes on
where it was; with `--data lio` the iSCSI targets serve on in between. `lab_api` tells how to look inside and let things
go wrong.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import re
import signal
import sys
from pathlib import Path
from typing import cast

from lab.array.array import Array
from lab.array.data import Data, NoData


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit status."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # Blocked from the start, in the threads to come too, so that a signal waits for sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    with _start(options) as array:
        print(f"array {options.unique_id} ready at {array.endpoint}", flush=True)
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
    return 0


def _start(options: argparse.Namespace) -> Array:
    addresses = dict.fromkeys([options.mvip, options.svip, *options.san])
    return Array.start(
        options.unique_id,
        state=options.state,
        data=_data(options),
        latency=options.latency,
        username=options.username,
        password=options.password_file.read_text().strip(),
        listen=options.listen,
        addresses=addresses,
        clone_seconds=options.clone_seconds,
        name=options.name,
        version=options.element_version,
        mvip=options.mvip,
        svip=options.svip,
        sip=options.sip,
    )


def _data(options: argparse.Namespace) -> Data:
    if options.data == "none":
        return NoData()
    # Imported only here: it needs Linux's LIO and what serves it.
    module = importlib.import_module("lab.array.lio")
    directory = options.data_dir or options.state / "data"
    return cast(Data, module.open_data(directory, options.svip, options.sip))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m lab.array", description="An array that speaks the Element API.")
    add = parser.add_argument
    add(
        "--listen",
        type=_address,
        default=("127.0.0.1", 443),
        metavar="HOST:PORT",
        help="default: 127.0.0.1:443; port 0 takes a free one",
    )
    add("--state", type=Path, required=True, metavar="DIR", help="where records and certificate are kept")
    add("--unique-id", type=_unique_id, default="lab1", help="four lower-case letters or digits (default: lab1)")
    add("--name", default="lab", help="the cluster's name")
    add("--element-version", default="12.5.0.897", help="four-part version to claim (default: 12.5.0.897)")
    add("--mvip", default="127.0.0.1", help="management address that clients are told")
    add("--svip", default="127.0.0.1", help="storage address that clients are told")
    add("--sip", default="127.0.0.1", help="the storage node's address, to which logins at the SVIP are redirected")
    add(
        "--data",
        choices=("none", "lio"),
        default="none",
        help="none: the API alone; lio: real iSCSI targets, root only",
    )
    add("--data-dir", type=Path, metavar="DIR", help="where lio keeps the volumes (default: STATE/data)")
    add("--username", default="admin", help="cluster admin with all rights (default: admin)")
    add("--password-file", type=Path, required=True, metavar="FILE", help="holds the admin's password")
    add(
        "--san",
        action="append",
        default=[],
        metavar="ADDR",
        help="one more address for the certificate when it is made",
    )
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="added to each call")
    add("--clone-seconds", type=float, default=1.0, metavar="SECONDS", help="how long a clone takes (default: 1)")
    return parser


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError("must be HOST:PORT")
    return host.strip("[]"), int(port)


def _unique_id(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]{4}", text):
        raise argparse.ArgumentTypeError("must be four lower-case letters or digits")
    return text


if __name__ == "__main__":
    sys.exit(main())
