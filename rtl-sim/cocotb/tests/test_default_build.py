# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The device with the parameters that it has by itself: last slot, last pair, largest ring."""

from __future__ import annotations

from bench.commands import Element, Status
from bench.host import Host, bench

ESP = Element()


@bench(pairs=0)
async def the_default_build_works_at_its_limits(host: Host) -> None:
    """2.1, both paths: 4,096 slots, eight pairs, rings of 2^12, 64 direct entries and buffers."""
    device = host.device
    assert await device.get("Global.SA_CAPACITY") == device.capacity == 4096
    assert await device.field("Global.LIMITS", "QUEUE_PAIRS") == device.pairs == 8
    await host.run()
    ring = device.straps.ring_log2
    pair = await host.open(device.pairs - 1, ring, ring)
    last = device.capacity - 1
    record = device.memory.take(128, 128)
    element = ESP.but(hi=1, lo=0xF000_0000)
    await host.add(last, 1, element)
    await host.compare_row(last)
    place = {"spi": ESP.spi, "protocol": ESP.protocol}
    await host.do(host.make.update(host.cookie(), last, 1, **place, hi=2))
    await host.do(host.make.update4(host.cookie(), [(last, 1, 3), (0, 1, 3)]))
    query = host.make.query(host.cookie(), last, 1, record=record)
    want = host.reference.execute(query, direct=False).record
    await host.do(query)
    assert device.memory.get(record, 128) == want
    await host.do(host.make.resolve(host.cookie(), last, 1, 9, commit=True))
    await host.do(host.make.query(host.cookie(), device.capacity, 1))
    # Slots that share a stage buffer, one after the other.
    for index in (63, 63 + 64, last):
        await host.do_direct(host.make.query(host.cookie(), index, 0))
    # A whole lap of the direct doorbell ring, and all of the largest ring at once.
    while pair.direct <= 1 << device.direct_log2:
        await host.do_direct(host.make.query(host.cookie(), pair.direct, 0))
    cookies = []
    while pair.credit() > 0 and pair.space() > 0:
        cookies.append(host.cookie())
        pair.put(host.make.nop(cookies[-1]))
    await pair.ring()
    for cookie in cookies:
        got = await pair.next()
        assert (got.cookie, got.status) == (cookie, Status.OK)
    await pair.tell_head()
    await pair.arm()
    await host.do(host.make.delete(host.cookie(), last, 1))
    await host.interrupts.wait(pair.n)
    await host.compare_row(last)
