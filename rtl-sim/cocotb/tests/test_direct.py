# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The direct path: stores to BAR 2, then a direct doorbell."""

from __future__ import annotations

from bench.commands import Element, Status, UpdateMode
from bench.host import Host, bench

ESP = Element()


def _update(host: Host, index: int, generation: int, cookie: int, hi: int) -> bytes:
    place = {"spi": ESP.spi, "protocol": ESP.protocol, "mode": UpdateMode.HI}
    return host.make.update(cookie, index, generation, **place, hi=hi)


@bench()
async def staged_commands_execute_when_the_doorbell_rings(host: Host) -> None:
    """R13, R17: ADD to DELETE; more entries than the doorbell ring has places."""
    make, device = host.make, host.device
    record = device.memory.take(128, 128)
    for generation, index in enumerate((0, 5, device.capacity - 1), start=1):
        element = host.secret(ESP.but(hi=3, lo=0x8000_0000, key=host.rng.randbytes(32)))
        place = (index, generation)
        await host.do_direct(make.add(host.cookie(), *place, element))
        await host.compare_row(index)
        got = await host.do_direct(_update(host, *place, host.cookie(), hi=4))
        assert (got.status, got.result) == (Status.OK, 4 << 32)
        query = make.query(host.cookie(), *place, record=record)
        want = host.reference.execute(query, direct=True)
        await host.do_direct(query)
        assert device.memory.get(record, 128) == want.record
        await host.do_direct(make.resolve(host.cookie(), *place, 77, commit=True))
        got = await host.do_direct(make.delete(host.cookie(), *place))
        assert (got.status, got.result) == (Status.OK, (4 << 32) + 77)
        await host.compare_row(index)
    done = host.pair.direct
    assert done > 3 << device.direct_log2, "the doorbell ring has not gone round"
    assert await device.get("QueuePair.DIRECT_HEAD", 0) == done
    assert await device.counter("Counters.CMD_DIRECT") == done
    assert await device.counter("Counters.CMD_RING") == 0
    assert device.monitor.ar.beats == 0, "the direct path reads no memory"


@bench()
async def entries_are_taken_in_order_however_they_arrive(host: Host) -> None:
    """2.3: the second entry may arrive first; then it waits. Dwords may arrive in either order."""
    pair, device = host.pair, host.device
    await host.add(1, 1, ESP)
    for split in ("", "low first", "high first"):
        first, second = host.cookie(), host.cookie()
        commands = (_update(host, 1, 1, first, 10), host.make.query(second, 2, 1))
        answers = [host.reference.execute(command, direct=True) for command in commands]
        await host.stage(1, commands[0])
        await host.stage(2, commands[1])
        # The doorbell of the second one, held back by that of the first.
        early = pair.direct_entry(1, first)
        pair.direct += 1
        await pair.ring_direct(2, second, split=split)
        await pair.expect_quiet(100)
        pair.open += 1
        dwords = [early[1] & 0xFFFF_FFFF, early[1] >> 32]
        await device.store(early[0] + 4, dwords[1].to_bytes(4, "little"))
        await pair.expect_quiet(60)
        await device.store(early[0], dwords[0].to_bytes(4, "little"))
        for cookie, answer in zip((first, second), answers, strict=True):
            host.compare(await pair.next(), cookie, answer)


@bench()
async def stores_may_be_split_at_any_dword_and_come_in_any_order(host: Host) -> None:
    """R13: pieces of 4 to 64 bytes."""
    generation = 0
    for size in (4, 8, 16, 32, 64):
        generation += 1
        for split in ("low first", "high first"):
            generation += 1
            add = host.make.add(host.cookie(), 9, generation, host.element())
            assert (await host.do_direct(add, size, split)).status == Status.OK
            await host.compare_row(9)
            await host.do_direct(host.make.delete(host.cookie(), 9, generation), size, split)


@bench()
async def nothing_staged_is_readable_and_nothing_acts_before_its_doorbell(host: Host) -> None:
    """R15, R17, R33: not the command, not the key, before or after."""
    device, pair = host.device, host.pair
    element = host.element()
    cookie = host.cookie()
    add = host.make.add(cookie, 3, 1, element)
    await host.stage(3, add)
    await pair.expect_quiet(200)
    await host.compare_row(3)
    answer = host.reference.execute(add, direct=True)
    await pair.ring_direct(3, cookie)
    host.compare(await pair.next(), cookie, answer)
    view = await host.compare_row(3)
    secret = device.abi.records["Add"].member("salt").offset
    assert not any(view[secret:]), "salt and key read zero"
    # The whole BAR, dword by dword and line by line; the monitor looks for the key in all of it.
    for index in range(device.capacity):
        await host.compare_row(index)
    for at in range(0, 128, 4):
        assert await device.load(device.row(3, at), 4) == view[at : at + 4]
    # Staged and taken: the buffer is empty, so its doorbell finds nothing (R18).
    await pair.ring_direct(3, cookie)
    got = await pair.next()
    assert (got.status, got.opcode) == (Status.STAGE, 0)


@bench()
async def what_does_not_fit_together_ends_in_stage(host: Host) -> None:
    """4.7, 1: the doorbell's cookie comes back, opcode 0; and R18 empties the buffer."""
    device, pair = host.device, host.pair
    await host.add(1, 1, ESP)
    buffers = 1 << device.stage_log2

    async def expect_stage(index: int, cookie: int) -> None:
        await pair.ring_direct(index, cookie)
        got = await pair.next()
        assert (got.status, got.opcode, got.result) == (Status.STAGE, 0, 0), got
        assert (got.cookie, got.lo_valid, got.changed) == (cookie, 0, 0), got

    # Each dword that must be written, left out in turn.
    for skip in range(8):
        cookie = host.cookie()
        await host.stage(1, _update(host, 1, 1, cookie, 9), 4, skip=skip)
        await expect_stage(1, cookie)
        # The missing dword alone does not complete what was emptied.
        piece = _update(host, 1, 1, cookie, 9)[4 * skip : 4 * skip + 4]
        await device.store(device.row(1, 4 * skip), piece)
        await expect_stage(1, cookie)
    # One that need not be written.
    cookie = host.cookie()
    command = _update(host, 1, 1, cookie, 9)
    answer = host.reference.execute(command, direct=True)
    await host.stage(1, command[:32], 4)
    await pair.ring_direct(1, cookie)
    host.compare(await pair.next(), cookie, answer)
    # Another cookie; another index in the header; a buffer that is another slot's.
    cookie = host.cookie()
    await host.stage(1, _update(host, 1, 1, cookie, 7))
    await expect_stage(1, cookie ^ 1)
    await host.stage(1, _update(host, 2, 1, cookie, 7))
    await expect_stage(1, cookie)
    await host.stage(1, _update(host, 1, 1, cookie, 7))
    await expect_stage(1 + buffers, cookie)
    await expect_stage(device.capacity, cookie)
    # Of the third one nothing was taken: its own doorbell still finds it (R18).
    answer = host.reference.execute(_update(host, 1, 1, cookie, 7), direct=True)
    await pair.ring_direct(1, cookie)
    host.compare(await pair.next(), cookie, answer)
    # A write for another slot empties the buffer first (5.2).
    await host.stage(1, _update(host, 1, 1, cookie, 8)[:16])
    await host.stage(1 + buffers, _update(host, 1, 1, cookie, 8)[16:32])
    await expect_stage(1, cookie)
    await expect_stage(1 + buffers, cookie)
    await host.compare_row(1)


@bench()
async def whatever_empties_a_buffer_zeroes_it(host: Host) -> None:
    """5.2, R18: what is not written is zero, and not what a command of before left there."""
    device, pair = host.device, host.pair
    neighbour = 1 + (1 << device.stage_log2)
    await host.add(1, 1, ESP)
    await host.add(neighbour, 1, ESP)
    junk = b"\xff" * 128

    async def expect_ok() -> None:
        """An UPDATE whose second half is not written: it must be zero, or it is a BAD_FIELD."""
        cookie = host.cookie()
        command = _update(host, 1, 1, cookie, host.rng.getrandbits(32))
        answer = host.reference.execute_staged(command, 1, cookie)
        await host.stage(1, command[:32])
        await pair.ring_direct(1, cookie)
        host.compare(await pair.next(), cookie, answer)
        assert answer.status == Status.OK

    # Another slot's stores were there.
    await host.stage(neighbour, junk)
    await expect_ok()
    # A doorbell that found nothing good.
    await host.stage(1, junk)
    await pair.ring_direct(1, host.cookie())
    assert (await pair.next()).status == Status.STAGE
    await expect_ok()
    # DELETE of the slot, by ring; then the slot is filled again.
    await host.stage(1, junk)
    await host.do(host.make.delete(host.cookie(), 1, 1))
    await host.add(1, 2, ESP)
    cookie = host.cookie()
    await host.stage(1, _update(host, 1, 2, cookie, 3)[:32])
    answer = host.reference.execute(_update(host, 1, 2, cookie, 3), direct=True)
    await pair.ring_direct(1, cookie)
    host.compare(await pair.next(), cookie, answer)
    # DELETE of another slot of the same buffer leaves it alone.
    cookie = host.cookie()
    command = _update(host, 1, 2, cookie, 4)
    await host.stage(1, command)
    await host.do(host.make.delete(host.cookie(), neighbour, 1))
    answer = host.reference.execute(command, direct=True)
    await pair.ring_direct(1, cookie)
    host.compare(await pair.next(), cookie, answer)


@bench()
async def pieces_of_dwords_are_dropped_and_counted(host: Host) -> None:
    """5.2: STAGE_DROP, dword by dword; and in READY nothing is staged at all."""
    device, pair = host.device, host.pair
    await host.add(1, 1, ESP)
    cookie = host.cookie()
    command = _update(host, 1, 1, cookie, 9)
    await host.stage(1, command, 4)
    dropped = 0
    for at, size in ((0, 1), (5, 1), (16, 2), (30, 2)):
        await device.store(device.row(1, at), b"\xff" * size)
        dropped += 1
    # Six bytes over a boundary: one whole dword is taken, and it is the same as before.
    await device.master.write(device.row(1, 10), command[10:16])
    dropped += 1
    answer = host.reference.execute(command, direct=True)
    await pair.ring_direct(1, cookie)
    host.compare(await pair.next(), cookie, answer)
    assert await device.counter("Counters.STAGE_DROP") == dropped
    await pair.control(enable=False)
    await pair.expect_state("DISABLED")
    await device.put("Global.CONTROL", 0)
    await device.wait_state("READY")
    await host.stage(1, command)
    assert await device.counter("Counters.STAGE_DROP") == dropped + 16


@bench()
async def a_doorbell_of_another_epoch_is_dropped(host: Host) -> None:
    """2.3: counted in EPOCH_DROP; the entry can still come."""
    device, pair = host.device, host.pair
    cookie = host.cookie()
    command = host.make.query(cookie, 4, 0)
    await host.stage(4, command)
    address, entry = pair.direct_entry(4, cookie, epoch=device.epoch ^ 1)
    await device.store(address, entry.to_bytes(8, "little"))
    await pair.expect_quiet(100)
    assert await device.counter("Counters.EPOCH_DROP") == 1
    answer = host.reference.execute(command, direct=True)
    await pair.ring_direct(4, cookie)
    host.compare(await pair.next(), cookie, answer)
    # The epoch of the header itself is told by a status.
    wrong = bytearray(host.make.query(cookie, 4, 0))
    wrong[2] ^= 1
    got = await host.do_direct(bytes(wrong))
    assert got.status == Status.BAD_EPOCH


@bench()
async def ring_only_commands_are_refused(host: Host) -> None:
    """4.1: NOP, FENCE, UPDATE4 and half an ADD."""
    make = host.make
    for command in (
        make.nop(host.cookie()),
        make.fence(host.cookie()),
        make.update4(host.cookie(), [(1, 1, 1)]),
    ):
        assert (await host.do_direct(command)).status == Status.BAD_OPCODE
    torn = bytearray(make.add(host.cookie(), 0, 1, ESP))
    torn[64] = 0
    assert (await host.do_direct(bytes(torn))).status == Status.BAD_PAIR
    await host.compare_row(0)


@bench(pairs=2)
async def every_pair_has_a_doorbell_ring_of_its_own(host: Host) -> None:
    """2.3: the direct index counts by pair; a pair that stops and starts begins at 0 again."""
    device = host.device
    for n in range(6):
        pair = host.pairs[n % 3 % 2]
        await host.do_direct(host.make.query(host.cookie(), n, 0), pair=pair)
    assert [p.direct for p in host.pairs] == [4, 2]
    for pair in host.pairs:
        assert await device.get("QueuePair.DIRECT_HEAD", pair.n) == pair.direct
    old = host.pairs.pop()
    await old.control(enable=False)
    await old.expect_state("DISABLED")
    again = await host.open(1)
    await host.do_direct(host.make.query(host.cookie(), 1, 0), pair=again)
    assert await device.get("QueuePair.DIRECT_HEAD", 1) == 1
    await host.do_direct(host.make.query(host.cookie(), 1, 0), pair=host.pair)
