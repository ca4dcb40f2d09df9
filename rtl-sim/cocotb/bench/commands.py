# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Commands as bytes (device.md 4), and elements to fill them with."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from .abi import load

ABI = load()
Opcode = ABI.codes["Opcode"]
Status = ABI.codes["Status"]
Protocol = ABI.codes["Protocol"]
Direction = ABI.codes["Direction"]
Mode = ABI.codes["Mode"]
Algorithm = ABI.codes["Algorithm"]
UdpEncap = ABI.codes["UdpEncap"]
UpdateMode = ABI.codes["UpdateMode"]
SlotState = ABI.codes["SlotState"]
NUMBERS = ABI.numbers

# Bytes of the key by algorithm (device.md 4.2).
KEY_BYTES = {
    Algorithm.AES_GCM_128: 16,
    Algorithm.AES_GCM_192: 24,
    Algorithm.AES_GCM_256: 32,
    Algorithm.AES_GMAC_128: 16,
    Algorithm.AES_GMAC_192: 24,
    Algorithm.AES_GMAC_256: 32,
}
GCM = (Algorithm.AES_GCM_128, Algorithm.AES_GCM_192, Algorithm.AES_GCM_256)


@dataclass(frozen=True)
class Element:
    """One security association, as ADD carries it."""

    spi: int = 0x1001
    protocol: int = Protocol.ESP
    direction: int = Direction.OUT
    mode: int = Mode.TUNNEL
    algorithm: int = Algorithm.AES_GCM_256
    icv_len: int = 16
    family: int = 4
    sa_flags: int = NUMBERS["SA_ESN"]
    udp_encap: int = UdpEncap.NONE
    replay_window: int = 64
    src: bytes = bytes([192, 0, 2, 1])
    dst: bytes = bytes([198, 51, 100, 7])
    second_flags: int = NUMBERS["ADD_LO_VALID"]
    hi: int = 0
    lo: int = 0
    udp_src: int = 0
    udp_dst: int = 0
    peer: int = NUMBERS["NO_PEER"]
    salt: bytes = b"SALT"
    key: bytes = b"test key, not a secret, 32 bytes"

    @property
    def esn(self) -> bool:
        """Whether it has extended sequence numbers."""
        return bool(self.sa_flags & NUMBERS["SA_ESN"])

    @classmethod
    def random(cls, rng: random.Random, *, max_window: int) -> Element:
        """A valid element of any kind."""
        algorithm = rng.choice(list(Algorithm))
        gcm = algorithm in GCM
        protocol = Protocol.ESP if gcm else rng.choice(list(Protocol))
        family = rng.choice((4, 6))
        address = 4 if family == 4 else 16
        encap = UdpEncap.NONE
        if protocol == Protocol.ESP:
            encap = rng.choice((UdpEncap.NONE, UdpEncap.TRANSPORT, UdpEncap.TUNNEL))
        ports = (rng.getrandbits(16), rng.getrandbits(16)) if encap else (0, 0)
        esn = rng.random() < 0.8
        lo_valid = rng.random() < 0.8
        return cls(
            spi=rng.randrange(1, 1 << 32),
            protocol=protocol,
            direction=rng.choice(list(Direction)),
            mode=rng.choice(list(Mode)),
            algorithm=algorithm,
            icv_len=rng.choice((8, 12, 16)) if gcm else 16,
            family=family,
            sa_flags=NUMBERS["SA_ESN"] if esn else 0,
            udp_encap=encap,
            replay_window=rng.randrange(max_window + 1),
            src=rng.randbytes(address),
            dst=rng.randbytes(address),
            second_flags=NUMBERS["ADD_LO_VALID"] if lo_valid else 0,
            hi=interesting(rng) if esn else 0,
            lo=interesting(rng) if lo_valid else 0,
            udp_src=ports[0],
            udp_dst=ports[1],
            peer=rng.getrandbits(32),
            salt=rng.randbytes(4),
            key=rng.randbytes(KEY_BYTES[algorithm]),
        )

    def but(self, **changes: int | bytes) -> Element:
        """The same element with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]


def interesting(rng: random.Random) -> int:
    """A 32-bit number, often one where section 7 of device.md decides something."""
    edge = rng.choice((0, 1, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE, 0xFFFF_FFFF))
    return rng.choice((edge, edge, rng.randrange(8), rng.getrandbits(32)))


@dataclass(frozen=True)
class Maker:
    """Makes commands of one instance."""

    epoch: int

    def _pack(self, record: str, opcode: int, cookie: int, **values: int | bytes) -> bytes:
        fields: dict[str, int | bytes] = {"opcode": opcode, "epoch": self.epoch, "cookie": cookie}
        return ABI.records[record].pack(**(fields | values))

    def nop(self, cookie: int) -> bytes:
        """Does nothing."""
        return self._pack("Bare", Opcode.NOP, cookie)

    def fence(self, cookie: int) -> bytes:
        """Completes after everything before it in its ring."""
        return self._pack("Bare", Opcode.FENCE, cookie)

    def add(self, cookie: int, index: int, generation: int, element: Element) -> bytes:
        """Both halves of an ADD."""
        return self._pack(
            "Add",
            Opcode.ADD,
            cookie,
            index=index,
            generation=generation,
            second_opcode=Opcode.ADD_SECOND,
            second_epoch=self.epoch,
            second_cookie=cookie,
            **vars(element),
        )

    def update(self, cookie: int, index: int, generation: int, **values: int) -> bytes:
        """UPDATE; `flags`, `spi`, `protocol`, `mode`, `hi`, `lo`, `expected_hi` by name."""
        place = {"index": index, "generation": generation}
        return self._pack("Update", Opcode.UPDATE, cookie, **place, **values)

    def update4(
        self, cookie: int, items: list[tuple[int, int, int]], *, step: bool = False
    ) -> bytes:
        """UPDATE4 with items of index, generation and hi."""
        flags = len(items) | (NUMBERS["UPDATE4_STEP"] if step else 0)
        values = {"flags": flags}
        for i, (index, generation, hi) in enumerate(items):
            values |= {f"item{i}_index": index, f"item{i}_generation": generation}
            values[f"item{i}_hi"] = hi
        return self._pack("Update4", Opcode.UPDATE4, cookie, **values)

    def delete(self, cookie: int, index: int, generation: int) -> bytes:
        """DELETE."""
        return self._pack("Bare", Opcode.DELETE, cookie, index=index, generation=generation)

    def query(
        self, cookie: int, index: int, generation: int, *, record: int | None = None
    ) -> bytes:
        """QUERY; with generation 0 of whatever is there, with `record` also in full."""
        flags = 0 if generation else NUMBERS["QUERY_ANY"]
        if record is not None:
            flags |= NUMBERS["QUERY_RECORD"]
        place = {"index": index, "generation": generation}
        values = {"flags": flags, "record_addr": record or 0}
        return self._pack("Query", Opcode.QUERY, cookie, **place, **values)

    def resolve(
        self, cookie: int, index: int, generation: int, seq: int, *, commit: bool = False
    ) -> bytes:
        """RESOLVE, perhaps as if that packet had come."""
        place = {"index": index, "generation": generation}
        flags = NUMBERS["RESOLVE_COMMIT"] if commit else 0
        return self._pack("Resolve", Opcode.RESOLVE, cookie, flags=flags, **place, seq=seq)
