# SPDX-License-Identifier: Apache-2.0 OR MIT
"""The ring path: every command, every field of its completion, and the rings themselves."""

from __future__ import annotations

from bench.commands import NUMBERS, Element, Opcode, Status, UpdateMode
from bench.host import Host, bench
from bench.pair import Completion

ESP = Element()
TOP = UpdateMode.TOP
HI = UpdateMode.HI
RESYNC = UpdateMode.RESYNC
CAS = NUMBERS["UPDATE_CAS"]
MONOTONE = NUMBERS["UPDATE_MONOTONE"]


async def _update(host: Host, index: int, generation: int, **values: int) -> Completion:
    """UPDATE of an element that is there as `ESP`, compared."""
    place = {"spi": ESP.spi, "protocol": ESP.protocol} | values
    return await host.do(host.make.update(host.cookie(), index, generation, **place))


@bench()
async def add_makes_an_entry_live_and_answers_its_digest(host: Host) -> None:
    """4.2, 5.1: elements of every kind, the row as BAR 2 shows it, SA_LIVE."""
    device = host.device
    for n in range(12):
        index = n * 5
        assert (await host.add(index, n + 1, host.element())).status == Status.OK
        await host.compare_row(index)
        assert await device.counter("Counters.SA_LIVE") == n + 1
    # Once more there: the slot is taken.
    assert (await host.add(0, 99, ESP)).status == Status.OCCUPIED


@bench()
async def update_moves_top_in_every_mode(host: Host) -> None:
    """4.3, section 7."""
    await host.add(3, 1, ESP.but(hi=5, lo=0x9000_0000))
    steps = [
        (HI, 5, 0, (5 << 32) + 0x9000_0000, 1),  # a repetition
        (HI, 6, 0, 6 << 32, 1),  # an advance
        (HI, 7, 0, 7 << 32, 0),  # early: a resync
        (TOP, 7, 0x1234, (7 << 32) + 0x1234, 1),
        (RESYNC, 9, 0, 9 << 32, 0),
        (TOP, 0xFFFF_FFFF, 0xFFFF_FFFF, (1 << 64) - 1, 1),
        (HI, 0, 0, 0, 0),  # never an advance from the last half
    ]
    for mode, hi, lo, top, lo_valid in steps:
        got = await _update(host, 3, 1, mode=mode, hi=hi, lo=lo)
        assert (got.status, got.result, got.lo_valid) == (Status.OK, top, lo_valid), got
        await host.compare_row(3)


@bench()
async def compare_and_set_and_monotone_refuse_and_change_nothing(host: Host) -> None:
    """4.7, 16 and 17; and the statuses before them."""
    await host.add(3, 7, ESP.but(hi=5, lo=0x10))
    refused = [
        (Status.CONFLICT, {"flags": CAS, "expected_hi": 4, "hi": 6}),
        (Status.BACKWARD, {"flags": MONOTONE, "hi": 4}),
        (Status.BACKWARD, {"flags": MONOTONE, "mode": RESYNC, "hi": 4}),
        (Status.BACKWARD, {"flags": MONOTONE, "mode": TOP, "hi": 5, "lo": 0xF}),
        (Status.CONFLICT, {"flags": CAS | MONOTONE, "expected_hi": 6, "hi": 4}),
        (Status.WRONG_SPI, {"spi": ESP.spi + 1, "hi": 6}),
        (Status.WRONG_PROTO, {"protocol": 1, "hi": 6}),
    ]
    for status, values in refused:
        assert (await _update(host, 3, 7, **values)).status == status
    assert (await _update(host, 3, 8, hi=6)).status == Status.STALE
    assert (await _update(host, 4, 8, hi=6)).status == Status.EMPTY
    await host.compare_row(3)
    taken = [
        {"flags": CAS, "expected_hi": 5, "hi": 6},
        {"flags": MONOTONE, "hi": 6},
        {"flags": MONOTONE, "mode": TOP, "hi": 6, "lo": 1},
        {"flags": CAS | MONOTONE, "mode": TOP, "expected_hi": 6, "hi": 6, "lo": 1},
    ]
    for values in taken:
        assert (await _update(host, 3, 7, **values)).status == Status.OK
    await host.compare_row(3)
    await host.add(9, 1, ESP.but(sa_flags=0))
    assert (await _update(host, 9, 1, hi=1)).status == Status.NOT_ESN
    assert (await _update(host, 9, 1, mode=TOP, lo=44)).status == Status.OK


@bench()
async def query_answers_top_and_writes_its_record_first(host: Host) -> None:
    """4.5, R42: the record is in memory when the completion is, and nothing around it changes."""
    device = host.device
    memory = device.memory
    record = memory.take(3 * 128, 128) + 128
    await host.add(7, 3, host.element().but(hi=0, lo=0))
    for index, generation in ((7, 3), (7, 0), (8, 0), (8, 1)):
        memory.put(record - 128, b"\xaa" * 384)
        command = host.make.query(host.cookie(), index, generation, record=record)
        want = host.reference.execute(command, direct=False)
        before = len(memory.writes)
        got = await host.do(command)
        if want.record is None:
            assert got.status == Status.EMPTY
            assert memory.get(record, 128) == b"\xaa" * 128
            continue
        assert memory.get(record - 128, 384) == b"\xaa" * 128 + want.record + b"\xaa" * 128
        order = [write.address for write in memory.writes[before:]]
        place = host.pair.cq + (host.pair.cq_head - 1) % host.pair.cq_size * host.pair.entry
        assert order == [record, record + 64, place], "the completion came before the record"
    # Without a record nothing but the completion is written.
    before = len(memory.writes)
    await host.do(host.make.query(host.cookie(), 7, 3))
    assert len(memory.writes) == before + 1


@bench()
async def update4_answers_item_by_item(host: Host) -> None:
    """4.4."""
    capacity = host.device.capacity
    for index in range(4):
        await host.add(index, 10 + index, ESP.but(hi=index, lo=0xF000_0000))
    await host.add(9, 1, ESP.but(sa_flags=0))

    async def do(items: list[tuple[int, int, int]], *, step: bool = False) -> Completion:
        return await host.do(host.make.update4(host.cookie(), items, step=step))

    assert (await do([(i, 10 + i, i + 1) for i in range(4)])).status == Status.OK
    got = await do([(0, 10, 1), (1, 99, 5), (2, 12, 9), (4, 1, 1)])
    assert got.status == Status.ITEMS
    assert got.result == 0x04_0B_00_0C_00, hex(got.result)
    got = await do([(capacity, 1, 1), (9, 1, 1), (3, 0, 1), (3, 13, 8)])
    assert got.status == Status.ITEMS and got.result == 0x08_00_05_0F_06
    # The same slot again and again, in order; each step expects the one before.
    steps = [(0, 10, 2), (0, 10, 3), (0, 10, 3), (0, 10, 4)]
    assert (await do(steps, step=True)).result == 0x0B_00_10_00_00
    assert (await do([(1, 11, 0)], step=True)).status == Status.ITEMS
    for flags in (0, 5, 7):
        command = bytearray(host.make.update4(host.cookie(), [(0, 10, 1)]))
        command[1] = flags
        assert (await host.do(bytes(command))).status == Status.BAD_FIELD
    for index in range(4):
        await host.compare_row(index)


@bench()
async def resolve_names_the_number_and_commit_moves_top(host: Host) -> None:
    """4.5, section 7."""
    await host.add(2, 1, ESP.but(hi=5, lo=0xFFFF_FF00))

    async def do(seq: int, *, commit: bool = False) -> Completion:
        return await host.do(host.make.resolve(host.cookie(), 2, 1, seq, commit=commit))

    assert (await do(5)).result == (6 << 32) + 5
    assert (await do(0xFFFF_FE00, commit=True)).changed == 0
    assert (await do(5, commit=True)).result == (6 << 32) + 5
    await host.compare_row(2)
    got = await do(0xFFFF_FFF0)
    assert got.result == (5 << 32) + 0xFFFF_FFF0 and got.changed == 0


@bench()
async def delete_empties_the_row_and_its_generation_stays(host: Host) -> None:
    """4.5, R21, R28, R32."""
    await host.add(6, 5, ESP.but(hi=3, lo=9))
    assert (await host.do(host.make.delete(host.cookie(), 6, 4))).status == Status.STALE
    got = await host.do(host.make.delete(host.cookie(), 6, 5))
    assert (got.status, got.result) == (Status.OK, (3 << 32) + 9)
    await host.compare_row(6)
    assert await host.device.counter("Counters.SA_LIVE") == 0
    assert (await host.do(host.make.delete(host.cookie(), 6, 5))).status == Status.EMPTY
    for generation in (5, 4, 5 + (1 << 31)):
        assert (await host.add(6, generation, ESP)).status == Status.OLD_GENERATION
    assert (await host.add(6, 4 + (1 << 31), ESP)).status == Status.OK
    await host.do(host.make.delete(host.cookie(), 6, 4 + (1 << 31)))
    # FFFFFFFF is followed by 1.
    assert (await host.add(6, 0xFFFF_FFFF, ESP)).status == Status.OK
    await host.do(host.make.delete(host.cookie(), 6, 0xFFFF_FFFF))
    assert (await host.add(6, 1, ESP)).status == Status.OK
    await host.compare_row(6)


@bench()
async def a_malformed_command_has_the_status_that_comes_first(host: Host) -> None:
    """4.7, R14: nothing changes, and the pair goes on."""
    make, cookie = host.make, host.cookie
    await host.add(1, 1, ESP)

    async def expect(status: Status, command: bytes, **patch: int) -> None:
        raw = bytearray(command)
        for place, value in patch.items():
            raw[int(place.removeprefix("b"))] = value
        got = await host.do(bytes(raw))
        assert got.status == status, f"{Status(got.status).name} for {patch}, not {status.name}"

    await expect(Status.BAD_OPCODE, bytes(64))
    await expect(Status.BAD_OPCODE, make.nop(cookie()), b0=0x17, b2=0xFF)
    await expect(Status.BAD_OPCODE, make.nop(cookie()), b0=Opcode.ADD_SECOND)
    await expect(Status.BAD_EPOCH, make.delete(cookie(), 1, 0), b3=host.device.epoch >> 8 ^ 1)
    await expect(Status.BAD_FIELD, make.delete(cookie(), 1, 0))
    await expect(Status.BAD_FIELD, make.nop(cookie() | 1 << 31))
    await expect(Status.BAD_FIELD, make.nop(cookie()), b8=1)
    await expect(Status.BAD_FIELD, make.fence(cookie()), b63=1)
    await expect(Status.BAD_FIELD, make.delete(cookie(), 1, 1), b1=1)
    await expect(Status.BAD_FIELD, make.update(cookie(), 1, 1, protocol=2, mode=3))
    await expect(Status.BAD_FIELD, make.update(cookie(), 1, 1, protocol=2, lo=1))
    await expect(Status.BAD_FIELD, make.query(cookie(), 1, 1, record=0x1040))
    await expect(Status.BAD_FIELD, make.query(cookie(), 1, 1), b17=1)
    await expect(Status.BAD_INDEX, make.query(cookie(), host.device.capacity, 1))
    for index, patch in ((2, {"b20": 3}), (2, {"b23": 7}), (2, {"b24": 9}), (2, {"b127": 1})):
        if host.pair.odd:
            await host.do(make.nop(cookie()))
        gcm128 = ESP.but(algorithm=1, key=b"0123456789abcdef")
        await expect(Status.BAD_FIELD, make.add(cookie(), index, 1, gcm128), **patch)
    for element in (ESP.but(udp_encap=4), ESP.but(replay_window=4097)):
        assert (await host.add(2, 1, element)).status == Status.UNSUPPORTED
    await host.compare_row(1)
    await host.compare_row(2)


@bench()
async def an_add_without_its_other_half_takes_as_many_slots_as_it_has(host: Host) -> None:
    """R9, R14: two if the second one has the opcode of a half, else one."""
    pair, make = host.pair, host.make
    torn = bytearray(make.add(host.cookie(), 1, 1, ESP))
    torn[68] ^= 1  # another cookie in the second half
    assert (await host.do(bytes(torn))).status == Status.BAD_PAIR
    # The second half is missing, and the next command stands in its place.
    alone, after = host.cookie(), host.cookie()
    pair.put(make.add(alone, 1, 1, ESP)[:64])
    pair.put(make.nop(after))
    await pair.ring()
    assert [(c.cookie, c.status) for c in [await pair.next(), await pair.next()]] == [
        (alone, Status.BAD_PAIR),
        (after, Status.OK),
    ]
    # On an odd slot.
    await host.do(make.nop(host.cookie()))
    odd = host.cookie()
    pair.put(make.add(odd, 1, 1, ESP))
    await pair.ring()
    got = await pair.next()
    assert (got.cookie, got.status) == (odd, Status.BAD_PAIR)
    await pair.expect_quiet(200)
    await host.compare_row(1)


@bench(sq_log2=2, cq_log2=2, start=(1 << 32) - 16)
async def phases_and_indices_are_right_over_many_laps(host: Host) -> None:
    """R6, R47: small rings, across 2^32; four commands under way at a time."""
    pair, device = host.pair, host.device
    await host.add(0, 1, ESP)
    for _ in range(12):
        cookies = []
        while pair.credit() >= 0 and pair.space() >= 0:
            cookies.append(host.cookie())
            pair.put(host.make.nop(cookies[-1]))
        await pair.ring()
        for cookie in cookies:
            # `next` looks at the phase; another's completion would have another cookie.
            assert (await pair.next()).cookie == cookie
    await pair.tell_head()
    assert pair.tail > 1 << 32, "the indices have not wrapped"
    for name, value in (
        ("SQ_HEAD", pair.tail),
        ("SQ_TAIL", pair.tail),
        ("CQ_TAIL", pair.cq_head),
        ("CQ_HEAD", pair.cq_head),
    ):
        assert await device.get(f"QueuePair.{name}", pair.n) == value & 0xFFFF_FFFF, name
    done = pair.cq_head - pair.start
    assert await device.counter("QueuePair.COMMANDS", pair.n) == done
    assert await device.counter("QueuePair.COMPLETIONS", pair.n) == done
    assert await device.counter("QueuePair.ERRORS", pair.n) == 0


@bench(sq_log2=1, cq_log2=1)
async def the_smallest_rings_carry_every_command(host: Host) -> None:
    """R6, R7: two slots and two entries; one credit is enough for an ADD."""
    for generation in range(1, 6):
        assert (await host.add(3, generation, ESP)).status == Status.OK
        await _update(host, 3, generation, hi=9)
        assert (await host.do(host.make.delete(host.cookie(), 3, generation))).status == Status.OK


@bench(sq_log2=4, cq_log2=2)
async def a_full_completion_ring_makes_the_device_wait(host: Host) -> None:
    """R7: it neither drops nor overwrites, and goes on as soon as it is told."""
    pair, device = host.pair, host.device
    cookies = [host.cookie() for _ in range(11)]
    for cookie in cookies:
        pair.put(host.make.nop(cookie))
    await pair.ring()
    await device.cycles(400)
    seen = [pair.peek(ahead) for ahead in range(pair.cq_size)]
    assert [c.cookie for c in seen if c] == cookies[:4]
    assert await device.get("QueuePair.CQ_TAIL", pair.n) == 4
    assert await device.counter("Counters.STALL_CQ") > 0
    await device.cycles(400)
    assert [pair.peek(ahead) for ahead in range(pair.cq_size)] == seen, "overwritten"
    # One credit, one completion: not two.
    assert pair.poll() == seen[0]
    await pair.tell_head()
    await device.cycles(200)
    assert await device.get("QueuePair.CQ_TAIL", pair.n) == 5
    for cookie in cookies[1:]:
        assert (await pair.next()).cookie == cookie


@bench(sq_log2=5, cq_log2=5)
async def a_fence_completes_after_everything_before_it(host: Host) -> None:
    """4.5: even after records and read-backs, which take longer than a NOP."""
    pair, make = host.pair, host.make
    record = host.device.memory.take(128, 128)
    await host.add(1, 1, ESP)
    for _ in range(4):
        before = [host.cookie() for _ in range(5)]
        fence = host.cookie()
        after = [host.cookie() for _ in range(3)]
        pair.put(make.query(before[0], 1, 1, record=record))
        pair.put(make.nop(before[1]))
        pair.put(make.delete(before[2], 2, 1))
        pair.put(make.query(before[3], 1, 1, record=record))
        pair.put(make.nop(before[4]))
        pair.put(make.fence(fence))
        for cookie in after:
            pair.put(make.nop(cookie))
        await pair.ring()
        order = [(await pair.next()).cookie for _ in range(9)]
        assert set(order[:5]) == set(before) and order[5] == fence, order
        assert set(order[6:]) == set(after)


@bench()
async def stale_and_impossible_doorbells_are_told_apart(host: Host) -> None:
    """2.3: behind is ignored and counted, too far ahead is an error."""
    device, pair = host.device, host.pair
    await host.do(host.make.nop(host.cookie()))
    await device.put("Doorbell.SQ_TAIL", (pair.tail - 1) & 0xFFFF_FFFF, pair.n)
    await device.put("Doorbell.CQ_HEAD", (pair.told_head - 1) & 0xFFFF_FFFF, pair.n)
    assert await device.counter("Counters.STALE_DB") == 2
    await pair.expect_state("ENABLED")
    # Both by one store.
    cookie = host.cookie()
    pair.put(host.make.nop(cookie))
    await pair.ring(head=True)
    assert (await pair.next()).cookie == cookie
    assert await device.counter("Counters.STALE_DB") == 2
    ahead = pair.tail + pair.sq_size + 1
    await device.put("Doorbell.SQ_TAIL", ahead, pair.n)
    await pair.expect_state("ERROR", "BAD_DOORBELL")
    other = await host.open(1)
    await device.put("Doorbell.CQ_HEAD", 1, other.n)
    await other.expect_state("ERROR", "BAD_DOORBELL")
    assert await device.get("Global.QP_ERROR_MAP") == 3
    host.events = device.register("Global.INT_CAUSE").word(QP_ERROR=1)
