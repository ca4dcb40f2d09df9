# SPDX-License-Identifier: Apache-2.0 OR MIT
"""Devices that offer less: the straps of esnic_top, and what is refused then."""

from __future__ import annotations

from bench.commands import Algorithm, Element, Protocol, Status, UdpEncap
from bench.device import Straps
from bench.host import Host, bench
from bench.pair import Pair

FULL = Straps.everything()
NARROW = FULL.without(
    *("UPDATE4", "RECORD", "PROBE", "PROBE_COMMIT", "ESN", "AH", "IPV6", "TRANSPORT"),
    *("UDP_TUNNEL", "AES_GCM_256", "ICV_12"),
)
SMALL = Straps(NARROW.features, NARROW.algs, max_window=128, ring_log2=3)
# Everything about it is offered by `SMALL`.
PLAIN = Element(algorithm=Algorithm.AES_GCM_128, key=b"sixteen byte key", sa_flags=0)


@bench(straps=SMALL, sq_log2=3, cq_log2=3)
async def what_is_not_offered_is_refused(host: Host) -> None:
    """2.1, 4.7, R14: a whole command with BAD_OPCODE, a value with UNSUPPORTED."""
    device, make, cookie = host.device, host.make, host.cookie
    assert await device.get("Global.FEATURES") == SMALL.features
    assert await device.get("Global.ALGS") == SMALL.algs
    assert await device.get("Global.MAX_WINDOW") == SMALL.max_window
    assert await device.field("Global.LIMITS", "RING_LOG2") == SMALL.ring_log2

    async def end(command: bytes) -> int:
        host.pair.put(command)
        await host.pair.ring()
        got = await host.pair.next()
        assert got.result == 0 or got.status == Status.OK, got
        return got.status

    unsupported = {
        "ESN": PLAIN.but(sa_flags=1),
        "AH": PLAIN.but(protocol=Protocol.AH, algorithm=Algorithm.AES_GMAC_128),
        "IPV6": PLAIN.but(family=6),
        "TRANSPORT": PLAIN.but(mode=1),
        "UDP_TUNNEL": PLAIN.but(udp_encap=UdpEncap.TUNNEL),
        "AES_GCM_256": PLAIN.but(algorithm=Algorithm.AES_GCM_256),
        "ICV_12": PLAIN.but(icv_len=12),
        "window": PLAIN.but(replay_window=SMALL.max_window + 1),
    }
    for name, element in unsupported.items():
        if host.pair.odd:
            assert await end(make.nop(cookie())) == Status.OK
        assert await end(make.add(cookie(), 1, 1, element)) == Status.UNSUPPORTED, name
    assert await device.counter("Counters.SA_LIVE") == 0
    if host.pair.odd:
        assert await end(make.nop(cookie())) == Status.OK
    await host.add(1, 1, PLAIN.but(replay_window=SMALL.max_window))
    await host.compare_row(1)
    assert await end(make.update4(cookie(), [(1, 1, 1)])) == Status.BAD_OPCODE
    assert await end(make.resolve(cookie(), 1, 1, 5)) == Status.BAD_OPCODE
    assert await end(make.query(cookie(), 1, 1, record=0x1000)) == Status.UNSUPPORTED
    await host.do(make.query(cookie(), 1, 1))

    large = Pair(device, 1, SMALL.ring_log2 + 1, SMALL.ring_log2)
    await large.configure()
    await large.control(enable=True)
    await large.expect_state("ERROR", "BAD_CONFIG")
    host.events = device.register("Global.INT_CAUSE").word(QP_ERROR=1)


@bench(straps=FULL.without("PROBE_COMMIT"))
async def resolve_without_commit_only_asks(host: Host) -> None:
    """4.7: a flag that is not offered is UNSUPPORTED, and the command without it is fine."""
    await host.add(1, 1, Element(hi=1, lo=5))
    pair = host.pair
    pair.put(host.make.resolve(host.cookie(), 1, 1, 9, commit=True))
    await pair.ring()
    assert (await pair.next()).status == Status.UNSUPPORTED
    await host.do(host.make.resolve(host.cookie(), 1, 1, 9))
    await host.compare_row(1)


@bench(straps=FULL.without("DIRECT"))
async def without_the_direct_path_nothing_is_staged(host: Host) -> None:
    """2.3, 5.2: stores to the table are counted, direct doorbells dropped; rows can be read."""
    device, pair = host.device, host.pair
    await host.add(1, 1, Element())
    cookie = host.cookie()
    await host.stage(1, host.make.query(cookie, 1, 1))
    assert await device.counter("Counters.STAGE_DROP") == 16
    for epoch in (device.epoch, device.epoch ^ 1):
        address, entry = pair.direct_entry(1, cookie, epoch=epoch)
        await device.store(address, entry.to_bytes(8, "little"))
    await pair.expect_quiet(200)
    assert await device.counter("Counters.EPOCH_DROP") == 0
    assert await device.get("QueuePair.DIRECT_HEAD", 0) == 0
    await host.compare_row(1)
