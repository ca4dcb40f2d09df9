# SPDX-License-Identifier: Apache-2.0 OR MIT
"""DMA that is refused: what the pair says, and what goes on."""

from __future__ import annotations

import itertools

from bench.commands import Element, Status, UpdateMode
from bench.host import Host, bench
from bench.pair import Pair
from bench.reference import HEADER

ESP = Element()


@bench(pairs=2, sq_log2=5, cq_log2=5)
async def a_refused_ring_read_ends_its_pair_at_that_read(host: Host) -> None:
    """R27, 2.4: what was before it completes, what is after it never ran, other pairs go on."""
    device, memory = host.device, host.device.memory
    pair, other = host.pairs
    vector = device.pairs
    await device.put("Global.INT_ENABLE", device.register("Global.INT_ENABLE").word(QP_ERROR=1))
    await host.add(1, 1, ESP)
    # Slots 8..15 are one 512-byte block, which cannot be read.
    block = device.abi.numbers["FETCH_BYTES"]
    broken = pair.sq + block
    memory.no_read.append((broken, broken + block))
    before: list[int] = []
    lost: list[int] = []
    while pair.tail < 20:
        cookie = host.cookie()
        (before if pair.tail < 8 else lost).append(cookie)
        pair.put(host.make.delete(cookie, 1, 1) if pair.tail >= 8 else host.make.nop(cookie))
    await pair.ring()
    for cookie in before:
        assert (await pair.next()).cookie == cookie
    await pair.expect_state("ERROR", "SQ_READ")
    await pair.expect_quiet(300)
    address = await device.get("QueuePair.QP_ERR_ADDR", pair.n)
    assert broken <= address < broken + block, f"QP_ERR_ADDR {address:#x}, refused {broken:#x}"
    assert await device.get("Global.QP_ERROR_MAP") == 1 << pair.n
    await host.interrupts.wait(vector)
    host.refused = 1
    host.events = device.register("Global.INT_CAUSE").word(QP_ERROR=1)
    pair.open -= len(lost)
    # Nothing of it was executed, as the other pair can see.
    await host.do(host.make.query(host.cookie(), 1, 1), other)
    await host.compare_row(1)
    # And it can be had back.
    host.pairs.remove(pair)
    memory.no_read.clear()
    await pair.control(enable=False)
    await pair.expect_state("DISABLED", "SQ_READ")
    assert await device.get("Global.QP_ERROR_MAP") == 0
    again = await host.open(0)
    await host.do(host.make.nop(host.cookie()), again)


@bench(pairs=2)
async def a_refused_completion_ends_its_pair(host: Host) -> None:
    """R26, 2.4: CQ_WRITE; nothing is told of what could not be written."""
    device, memory = host.device, host.device.memory
    pair, other = host.pairs
    memory.no_write.append((pair.cq, pair.cq + 4096))
    await pair.arm()
    pair.put(host.make.nop(host.cookie()))
    await pair.ring()
    await pair.expect_state("ERROR", "CQ_WRITE")
    await pair.expect_quiet(100)
    await host.interrupts.none(50)
    address = await device.get("QueuePair.QP_ERR_ADDR", pair.n)
    assert address & ~63 == pair.cq, f"QP_ERR_ADDR {address:#x}, the ring is at {pair.cq:#x}"
    assert await device.get("QueuePair.CQ_TAIL", pair.n) == 0
    host.refused = 1
    host.events = device.register("Global.INT_CAUSE").word(QP_ERROR=1)
    host.pairs.remove(pair)
    host.pairs[0] = other
    await host.add(1, 1, ESP)
    assert await device.counter("Counters.DMA_ERRORS") == 1


@bench()
async def a_refused_record_is_a_status_of_its_query(host: Host) -> None:
    """4.7, 19: DMA_ERROR with `top`, and the pair goes on."""
    device, memory, pair = host.device, host.device.memory, host.pair
    await host.add(1, 1, ESP.but(hi=2, lo=3))
    for first in (0, 64):
        record = memory.take(128, 128)
        memory.no_write[:] = [(record + first, record + first + 64)]
        cookie = host.cookie()
        pair.put(host.make.query(cookie, 1, 1, record=record))
        await pair.ring()
        got = await pair.next()
        assert (got.cookie, got.status) == (cookie, Status.DMA_ERROR), got
        assert (got.result, got.lo_valid, got.changed) == ((2 << 32) + 3, 1, 0), got
        host.refused += 1
    memory.no_write.clear()
    # An address that is no memory at all.
    pair.put(host.make.query(host.cookie(), 1, 1, record=0x80))
    await pair.ring()
    assert (await pair.next()).status == Status.DMA_ERROR
    host.refused += 1
    await host.do(host.make.query(host.cookie(), 1, 1))
    await pair.expect_state("ENABLED")
    assert await device.counter("QueuePair.ERRORS", 0) == 3


def _any_command(host: Host, index: int, generation: int) -> bytes:
    """A command whose answer depends on whether those before it were executed."""
    rng, make, cookie = host.rng, host.make, host.cookie()
    kind = rng.randrange(5)
    if kind == 0:
        return make.add(cookie, index, generation + 1, host.element())
    if kind == 1:
        return make.query(cookie, index, generation)
    if kind == 2:
        return make.resolve(cookie, index, generation, rng.getrandbits(32), commit=True)
    values = {"spi": ESP.spi, "protocol": ESP.protocol, "mode": UpdateMode.TOP}
    halves = {"hi": rng.getrandbits(32), "lo": rng.getrandbits(32)}
    return make.update(cookie, index, generation, **values, **halves)


def _fill(host: Host, pair: Pair) -> list[tuple[int, bytes]]:
    """As many ring commands as can be; gives the index behind each of them, and the command."""
    ring: list[tuple[int, bytes]] = []
    while pair.space() > 2 and pair.credit() > 8:
        command = _any_command(host, 1, host.reference.slots[1].held)
        if len(command) == 128 and pair.odd:
            gap = host.make.nop(host.cookie())
            pair.put(gap)
            ring.append((pair.tail, gap))
        pair.put(command)
        ring.append((pair.tail, command))
    return ring


def _stage_direct(host: Host, index: int) -> bytes:
    """A direct command, staged; nobody waits."""
    device = host.device
    command = _any_command(host, index, host.reference.slots[index].held or 1)
    for at in range(0, len(command), 64):
        device.post(device.row(index, at), command[at : at + 64])
    return command


def _ring_direct(pair: Pair, command: bytes) -> None:
    """Its doorbell; nobody waits."""
    words = HEADER.unpack(command[: HEADER.size])
    address, entry = pair.direct_entry(words["index"], words["cookie"])
    pair.device.post(address, entry.to_bytes(8, "little"))
    pair.direct += 1
    pair.open += 1


@bench(sq_log2=5, cq_log2=5)
async def a_stop_settles_every_command_of_both_paths(host: Host) -> None:
    """R25: what is before SQ_HEAD and DIRECT_HEAD has its completion, what is after never ran."""
    device, pair = host.device, host.pair
    device.rough_memory()
    # Reads are taken so slowly that a stop comes between two of them.
    slow = (host.rng.random() < 0.93 for _ in itertools.count())
    device.slave.read_if.ar_channel.set_pause_generator(slow)
    await host.add(1, 1, ESP)
    await host.add(2, 1, ESP)
    cut = 0
    for _ in range(12):
        first, taken = pair.tail, pair.direct
        ring = _fill(host, pair)
        tail = (pair.tail & 0xFFFF_FFFF).to_bytes(4, "little")
        pair.told_tail = pair.tail
        direct = [_stage_direct(host, index) for index in (2, 3, 4)]
        await device.flush()
        # The stop comes while the device is busy with what it was told a moment ago.
        device.post(device.address("Doorbell.SQ_TAIL", pair.n), tail)
        early = host.rng.randrange(len(direct) + 1)
        for command in direct[:early]:
            _ring_direct(pair, command)
        await device.cycles(host.rng.randrange(1, 40))
        device.post(device.address("QueuePair.QP_CTRL", pair.n), bytes(4))
        for command in direct[early:]:
            _ring_direct(pair, command)
        await device.flush()
        await pair.expect_state("DISABLED")
        asked = device.monitor.ar.beats, device.monitor.aw.beats

        fetched = await device.get("QueuePair.SQ_HEAD", pair.n)
        heads = await device.get("QueuePair.DIRECT_HEAD", pair.n) - taken
        assert first <= fetched <= pair.tail and 0 <= heads <= early
        cut += int(fetched < pair.tail)
        ran = [(command, False) for end, command in ring if end <= fetched]
        ran += [(command, True) for command in direct[:heads]]
        want = {}
        for command, by_doorbell in ran:
            cookie = HEADER.unpack(command[: HEADER.size])["cookie"]
            want[cookie] = host.reference.execute(command, direct=by_doorbell)
        while (completion := pair.poll()) is not None:
            answer = want.pop(completion.cookie, None)
            assert answer is not None, f"{completion} of a command that was not taken"
            host.compare(completion, completion.cookie, answer)
        assert not want, f"{len(want)} of {len(ran)} commands without completion"
        await pair.expect_quiet(200)
        assert (device.monitor.ar.beats, device.monitor.aw.beats) == asked, "DMA after DISABLED"
        host.pairs.remove(pair)
        pair = await host.open(0, 5, 5)
        for index in range(1, 5):
            await host.compare_row(index)
    assert cut >= 3, "hardly a stop came amid the commands"


@bench()
async def a_soft_reset_amid_traffic_leaves_no_request_open(host: Host) -> None:
    """R20: nothing new is asked for, what was asked for is drained, and READY comes."""
    device, pair = host.device, host.pair
    reset = device.register("Global.CONTROL").word(SOFT_RESET=1)
    record = device.memory.take(128, 128)
    device.rough()
    for _ in range(8):
        await host.add(1, 1, ESP)
        while pair.space() > 0 and pair.credit() > 0:
            pair.put(host.make.query(host.cookie(), 1, 1, record=record))
        await pair.ring()
        await device.cycles(host.rng.randrange(1, 80))
        await device.put("Global.CONTROL", reset)
        await device.cycles(2)
        asked = device.monitor.ar.beats
        await device.wait_state("READY")
        # One read may have been on offer when the reset came.
        assert device.monitor.ar.beats <= asked + 1, "new reads after a reset"
        assert await device.counter("Counters.SA_LIVE") == 0
        host.pairs.clear()
        await host.run()
        pair = await host.open(0)
