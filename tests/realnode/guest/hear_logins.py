"""Listens to the VM's iSCSI connections for what the two sides agree upon about CHAP, and for none of the proofs.

Writes to the file it is given, until it is ended: who said it (`initiator` or `target`), the key, and for the choice
of the algorithm its value.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from pathlib import Path

_ALL = 0x0003  # ETH_P_ALL of linux/if_ether.h
_PORT = 3260
_KEY = re.compile(rb"\b(CHAP_A|CHAP_N|CHAP_I|CHAP_C|CHAP_R)=([^\0]*)\0")


def main(into: str) -> None:
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL)) as wire,
        Path(into).open("w", buffering=1) as report,
    ):
        report.write("listening\n")
        heard = set[tuple[int, int, int]]()
        while True:
            packet = wire.recv(65536)
            if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP:
                continue
            tcp = packet[(packet[0] & 15) * 4 :]
            segment = struct.unpack_from("!HHI", tcp)
            source, destination, _ = segment
            # The header's last byte is a timestamp's, which may look like a letter before the key.
            found = _KEY.findall(tcp[(tcp[12] >> 4) * 4 :]) if _PORT in (source, destination) else []
            if found and segment not in heard:
                heard.add(segment)  # TCP may send it once more.
                who = "initiator" if destination == _PORT else "target"
                for key, value in found:
                    report.write(f"{who} {key.decode()}{' ' + value.decode() if key == b'CHAP_A' else ''}\n")


if __name__ == "__main__":
    main(sys.argv[1])
