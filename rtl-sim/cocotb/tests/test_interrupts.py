# SPDX-License-Identifier: Apache-2.0 OR MIT
"""MSI-X: when a message is asked for, and when it is not."""

from __future__ import annotations

from functools import partial

from bench.host import Host, bench
from bench.pair import Pair


async def _nops(host: Host, pair: Pair, count: int = 1) -> None:
    """So many NOPs, told of."""
    for _ in range(count):
        pair.put(host.make.nop(host.cookie()))
    await pair.ring()


def _look(pair: Pair, seen: list[bool], _vector: int) -> None:
    """Whether a completion is visible now."""
    seen.append(pair.peek() is not None)


async def _take(pair: Pair, count: int = 1) -> None:
    """Consumes so many completions."""
    for _ in range(count):
        await pair.next()


@bench(pairs=2)
async def the_message_comes_after_its_completion_is_visible(host: Host) -> None:
    """R1, R2, R3: at the instant of the message, memory has the completion, for either pair."""
    device = host.device
    for n in (0, 1, 1, 0):
        pair = host.pairs[n]
        seen: list[bool] = []
        device.monitor.on_interrupt = partial(_look, pair, seen)
        await pair.arm()
        await host.interrupts.none(100)
        await _nops(host, pair)
        await host.interrupts.wait(n)
        assert seen == [True], "the message was before the completion"
        await _take(pair)
        # One ARM, one message.
        await _nops(host, pair, 3)
        await _take(pair, 3)
        await host.interrupts.none(100)
        assert await device.counter("QueuePair.IRQS", n) > 0
    assert await device.counter("Counters.MSIX_SENT") == 4


@bench()
async def the_message_waits_for_the_write_response(host: Host) -> None:
    """R3: data in memory is not enough; the bus must have said so."""
    device, pair = host.device, host.pair
    await pair.arm()
    device.slave.write_if.b_channel.pause = True
    await _nops(host, pair)
    for _ in range(200):
        await device.cycles(1)
    assert pair.peek() is not None, "the completion is in memory"
    assert not host.interrupts.seen and device.monitor.msix.stalls == 0
    assert int(device.dut.msix_valid_o.value) == 0, "a message before the write response"
    device.slave.write_if.b_channel.pause = False
    await host.interrupts.wait(0, patience=50)
    await _take(pair)


@bench()
async def an_arm_that_is_late_fires_at_once(host: Host) -> None:
    """R1: what slips in between the last look and the ARM is not slept over."""
    pair = host.pair
    await _nops(host, pair, 2)
    await host.device.cycles(100)
    assert pair.peek() is not None
    await host.interrupts.none(50)
    await pair.arm()
    await host.interrupts.wait(0, patience=50)
    await _take(pair, 2)
    # Of what has been consumed before the ARM, nothing is told.
    await pair.arm()
    await host.interrupts.none(100)
    await _nops(host, pair)
    await host.interrupts.wait(0)
    await _take(pair)


@bench()
async def coalescing_counts_completions_and_cycles(host: Host) -> None:
    """R1, 2.2: COUNT and TIME, each alone and both."""
    device, pair = host.device, host.pair
    register = device.register("QueuePair.COALESCE")
    await device.put("QueuePair.COALESCE", register.word(COUNT=3), 0)
    await pair.arm()
    await _nops(host, pair, 2)
    await host.interrupts.none(700)
    await _nops(host, pair)
    await host.interrupts.wait(0, patience=100)
    await _take(pair, 3)
    # Few came, but they have waited for two units of 256 cycles.
    await device.put("QueuePair.COALESCE", register.word(COUNT=3, TIME=2), 0)
    await pair.arm()
    await host.interrupts.none(800)
    await _nops(host, pair)
    while pair.peek() is None:
        await device.cycles(1)
    came = device.now()
    await host.interrupts.wait(0, patience=600)
    waited = device.now() - came
    assert 480 <= waited <= 560, f"{waited} cycles, not 512"
    await _take(pair)
    # Enough came: time does not matter.
    await pair.arm()
    await _nops(host, pair, 3)
    await host.interrupts.wait(0, patience=150)
    await _take(pair, 3)
    # A new value counts at once, also for an ARM that waits.
    await device.put("QueuePair.COALESCE", register.word(COUNT=100), 0)
    await pair.arm()
    await _nops(host, pair)
    await host.interrupts.none(200)
    await device.put("QueuePair.COALESCE", 0, 0)
    await host.interrupts.wait(0, patience=50)
    await _take(pair)


@bench(pairs=2)
async def a_masked_message_pends_until_it_can_be_sent(host: Host) -> None:
    """R4: masked by vector, by function, or with MSI-X off."""
    device = host.device
    dut = device.dut
    pair = host.pairs[1]

    async def fire_and_look() -> None:
        await pair.arm()
        await _nops(host, pair)
        await host.interrupts.none(200)
        await _take(pair)
        assert await device.get("MsixPba.PENDING") == 1 << pair.n

    async def then_sent() -> None:
        await host.interrupts.wait(pair.n, patience=50)
        assert await device.get("MsixPba.PENDING") == 0

    await device.set_vector(pair.n, masked=True)
    await fire_and_look()
    # Twice before it is sent is still once.
    await fire_and_look()
    await device.set_vector(pair.n, masked=False)
    await then_sent()
    dut.cfg_msix_mask_i.value = 1
    await device.cycles(1)
    await fire_and_look()
    dut.cfg_msix_mask_i.value = 0
    await then_sent()
    dut.cfg_msix_enable_i.value = 0
    await device.cycles(1)
    await fire_and_look()
    dut.cfg_msix_enable_i.value = 1
    await then_sent()
    await host.interrupts.none(50)


@bench()
async def a_pair_that_becomes_disabled_is_disarmed(host: Host) -> None:
    """R1, R25: no message afterwards, and none from the ARM of before."""
    pair = host.pairs.pop()
    await pair.arm()
    await pair.control(enable=False)
    await pair.expect_state("DISABLED")
    again = await host.open(0)
    await _nops(host, again)
    await _take(again)
    await host.interrupts.none(200)


@bench()
async def vector_q_tells_of_errors_until_they_are_cleared(host: Host) -> None:
    """R5: and once more after each write that leaves a cause set and enabled."""
    device, pair = host.device, host.pair
    vector = device.pairs
    bit = device.register("Global.INT_CAUSE").word(QP_ERROR=1)
    await device.put("Doorbell.CQ_HEAD", 5, pair.n)
    await pair.expect_state("ERROR", "BAD_DOORBELL")
    await host.interrupts.none(50)
    assert await device.get("Global.INT_CAUSE") == bit
    await device.put("Global.INT_ENABLE", bit)
    await host.interrupts.wait(vector, patience=50)
    # Cleared nothing: told again.
    await device.put("Global.INT_CAUSE", 0)
    await host.interrupts.wait(vector, patience=50)
    await device.put("Global.INT_CAUSE", bit)
    assert await device.get("Global.INT_CAUSE") == 0
    await host.interrupts.none(50)
    # Enabled beforehand, it comes with the error.
    await pair.control(enable=False)
    await pair.expect_state("DISABLED", "BAD_DOORBELL")
    await pair.enable(START=0)
    await device.put("Doorbell.CQ_HEAD", 5, pair.n)
    await host.interrupts.wait(vector, patience=50)
    host.events = bit
