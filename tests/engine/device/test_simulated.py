"""The simulated device: memory of its own, copies that take their time, and faults that do not depend on luck."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from graphkit.engine.device.simulated import SimulatedDevice
from graphkit.engine.device.simulated_tensor import DeviceFault, DeviceTensor
from graphkit.engine.kernels import pair_scores


@pytest.fixture
def device() -> Iterator[SimulatedDevice]:
    made = SimulatedDevice(delay=1e-3)
    yield made
    made.close()


def pinned(device: SimulatedDevice, values: Tensor) -> Tensor:
    """Pinned memory that holds some values."""
    buffer = device.pinned(values.numel() * values.element_size())
    device.host_writes(buffer)
    return buffer.view(values.dtype).view(values.shape).copy_(values)


def sent(device: SimulatedDevice, values: Tensor) -> DeviceTensor:
    """A tensor of the device whose copy is under way."""
    target = device.allocate(*values.shape, dtype=values.dtype, stream="inward")
    device.copy(pinned(device, values), target, "inward")
    assert isinstance(target, DeviceTensor)
    return target


def fault(act: Callable[[], object]) -> str:
    with pytest.raises(DeviceFault) as error:
        act()
    return str(error.value)


# ---- memory


def test_memory_holds_nan_until_a_copy_has_arrived(device: SimulatedDevice) -> None:
    device.delay = 0.05
    there = sent(device, torch.ones(3))
    assert there.held.isnan().all()
    device.record("inward").wait()
    assert there.held.tolist() == [1, 1, 1]


def test_fresh_memory_holds_no_number_that_a_program_could_use(device: SimulatedDevice) -> None:
    assert torch.isnan(device.download(device.allocate(2, dtype=torch.float32, stream="compute"))).all()
    assert device.download(device.allocate(2, dtype=torch.int64, stream="compute")).tolist() == [-1, -1]
    assert device.pinned(2).tolist() == [255, 255]


@pytest.mark.parametrize(
    ("way", "reach"),
    [
        ("numpy", lambda tensor: tensor.numpy()),
        ("numpy", lambda tensor: tensor.__array__()),
        ("DLPack", lambda tensor: torch.from_dlpack(tensor)),
        ("DLPack", lambda tensor: tensor.__dlpack__()),
    ],
)
def test_the_host_cannot_reach_memory_by_mistake(
    device: SimulatedDevice, way: str, reach: Callable[[Tensor], object]
) -> None:
    there = device.upload(torch.ones(2))
    assert fault(lambda: reach(there)) == (
        f"the host reaches for a device's memory by {way}; copy it to the host first, and wait for the copy"
    )


def test_native_code_cannot_reach_memory_by_mistake(device: SimulatedDevice) -> None:
    from graphkit import _native

    there = device.upload(torch.ones(2, 2))
    with pytest.raises((DeviceFault, TypeError)):
        _native.first_not_finite(there, 1)


def test_operations_that_mix_device_and_host_are_refused(device: SimulatedDevice) -> None:
    there = device.upload(torch.ones(2))
    assert fault(lambda: there + torch.ones(2)) == (
        "aten.add.Tensor mixes tensors of the device with one of the host, of shape (2,); copy it to the device first"
    )
    assert fault(lambda: torch.cat([torch.ones(3, 1), there.view(2, 1)])).startswith("aten.cat mixes")
    assert device.download(there + torch.tensor(1.0)).tolist() == [2, 2]  # a number, as on a GPU


# ---- copies


@pytest.mark.parametrize(
    ("use", "what"),
    [(lambda x: x * 2, "aten.mul.Tensor reads"), (lambda x: x.mul_(2), "aten.mul_.Tensor writes")],
    ids=["read", "written"],
)
def test_what_is_used_before_its_copy_was_waited_for_is_a_fault(
    device: SimulatedDevice, use: Callable[[Tensor], Tensor], what: str
) -> None:
    there = sent(device, torch.ones(2))
    time.sleep(0.01)  # it has arrived by now, but nobody knows
    assert fault(lambda: use(there)) == (
        f"{what} device buffer 1, which the stream inward may not have filled yet (its number 1); wait for an event "
        "that was recorded after it"
    )
    device.wait("compute", device.record("inward"))
    assert device.download(use(there)).tolist() == [2, 2]


def test_an_event_stands_for_what_was_given_before_it(device: SimulatedDevice) -> None:
    first = sent(device, torch.ones(2))
    event = device.record("inward")
    second = sent(device, torch.ones(2))
    device.wait("compute", event)
    assert device.download(first).tolist() == [1, 1]
    assert "device buffer 2, which the stream inward" in fault(lambda: second + 1)


def test_what_a_stream_has_waited_for_is_known_to_those_that_wait_for_it(device: SimulatedDevice) -> None:
    there = sent(device, torch.ones(2))
    device.wait("outward", device.record("inward"))
    device.wait("compute", device.record("outward"))
    assert device.download(there).tolist() == [1, 1]


def test_a_pinned_buffer_must_not_be_filled_while_it_is_copied(device: SimulatedDevice) -> None:
    buffer = pinned(device, torch.ones(2))
    target = device.allocate(2, dtype=torch.float32, stream="inward")
    device.copy(buffer, target, "inward")
    event = device.record("inward")
    expected = (
        "the host overwrites pinned buffer 0, which the stream inward may not have read yet (its number 1); wait for "
        "an event that was recorded after it"
    )
    assert fault(lambda: device.host_writes(buffer)) == expected
    device.wait("compute", event)  # the host does not know by that
    assert fault(lambda: device.host_writes(buffer)) == expected
    event.wait()
    device.host_writes(buffer)


def test_a_pinned_buffer_that_was_filled_without_a_word_is_found(device: SimulatedDevice) -> None:
    device._copies["inward"].delays.uniform = lambda *_: 0.2  # type: ignore[method-assign]
    buffer = pinned(device, torch.ones(2))
    device.copy(buffer, device.allocate(2, dtype=torch.float32, stream="inward"), "inward")
    buffer.fill_(0)
    assert fault(device.record("inward").wait) == (
        "pinned buffer 0 was written to during copy 1 of the stream inward; wait for the event of a copy before its "
        "source is used again"
    )


def test_a_fault_that_nobody_has_waited_for_is_raised_as_the_device_closes() -> None:
    device = SimulatedDevice(delay=0.5)
    device._copies["inward"].delays.uniform = lambda *_: 0.2  # type: ignore[method-assign]
    buffer = pinned(device, torch.ones(2))
    device.copy(buffer, device.allocate(2, dtype=torch.float32, stream="inward"), "inward")
    buffer.fill_(0)
    assert fault(device.close).startswith("pinned buffer 0 was written to during copy 1 of the stream inward; ")
    device.close()  # it was told


def test_results_must_not_be_copied_before_they_are_computed(device: SimulatedDevice) -> None:
    result, buffer = device.upload(torch.ones(2)) + 1, device.pinned(8).view(torch.float32)
    assert fault(lambda: device.copy(result, buffer, "outward")).startswith(
        "copy 1 of the stream outward reads device buffer 2, which the stream compute may not have filled yet"
    )
    device.wait("outward", device.record("compute"))
    device.copy(result, buffer, "outward")
    assert fault(lambda: result.add_(1)).startswith("aten.add_.Tensor overwrites device buffer 2, which the stream out")
    assert fault(lambda: device.host_reads(buffer)).startswith("the host reads pinned buffer 0, which the stream outw")
    device.record("outward").wait()
    device.host_reads(buffer)
    assert buffer.tolist() == [2, 2]


def test_a_table_that_the_device_reads_in_place_must_not_be_updated_meanwhile(device: SimulatedDevice) -> None:
    table = torch.ones(3, 2)
    rows = device.mapped(table).index_select(0, device.upload(torch.tensor([2])))
    assert fault(lambda: device.host_writes(table)).startswith(
        "the host overwrites mapped table of 3 rows, which the stream compute may not have read yet"
    )
    assert device.download(rows).tolist() == [[1, 1]]  # which waits for what was computed
    device.host_writes(table)


def test_copies_lead_where_their_stream_leads_and_go_through_pinned_memory(device: SimulatedDevice) -> None:
    there, buffer = device.upload(torch.ones(2)), pinned(device, torch.ones(2))
    assert fault(lambda: device.copy(buffer, there, "outward")) == (
        "a copy of the stream outward does not lead outward; give source and target that do"
    )
    assert fault(lambda: device.copy(torch.ones(2), there, "inward")) == (
        "a copy names host memory that is not pinned; take it from Device.pinned"
    )


@given(seed=st.integers(0, 50), streams=st.lists(st.booleans(), min_size=2, max_size=6))
def test_copies_end_in_order_within_a_stream(seed: int, streams: list[bool]) -> None:
    device = SimulatedDevice(seed=seed, delay=2e-4)
    source, buffers = device.upload(torch.ones(1)), []
    device.wait("outward", device.record("compute"))
    events = []
    for outward in streams:
        if outward:
            buffers.append(device.pinned(4).view(torch.float32))
            device.copy(source, buffers[-1], "outward")
        else:
            buffers.append(sent(device, torch.ones(1)).held)
        events.append(device.record("outward" if outward else "inward"))
    for last in (True, False):
        own = [i for i, outward in enumerate(streams) if outward == last]
        if own:
            events[own[-1]].wait()
            assert all(buffers[i].tolist() == [1] for i in own)
    device.close()


def test_copies_of_two_streams_end_in_any_order() -> None:
    first = set()
    for seed in range(20):
        device = SimulatedDevice(seed=seed, delay=0.02)
        source, back = device.upload(torch.ones(1)), device.pinned(4).view(torch.float32)
        device.wait("outward", device.record("compute"))
        inward = sent(device, torch.ones(1))
        device.copy(source, back, "outward")
        while inward.held.isnan().any() and back.isnan().any():
            time.sleep(1e-4)
        first.add("outward" if inward.held.isnan().any() else "inward")
        device.close()
        if len(first) == 2:
            return
    raise AssertionError(f"in 20 runs the stream {first} was always the first")


# ---- computing


def test_it_computes_what_the_cpu_does_bit_for_bit(device: SimulatedDevice) -> None:
    generator = torch.Generator().manual_seed(0)
    queries, rows = torch.randn(5, 8, generator=generator), torch.randn(7, 8, generator=generator)
    places = torch.randint(0, 7, (5, 3), generator=generator)

    def step(q: Tensor, e: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        parameter = nn.Parameter(q)
        scores = pair_scores("l2", torch.nn.functional.gelu(parameter), e, at)
        scores.logsumexp(dim=1).sum().backward()
        assert parameter.grad is not None
        return scores.detach(), parameter.grad

    with device.computing():
        found = step(*(device.upload(tensor) for tensor in (queries, rows, places)))
    for here, there in zip(step(queries, rows, places), found, strict=True):
        assert isinstance(there, DeviceTensor)
        assert torch.equal(here, device.download(there))


def test_tensors_made_for_the_device_of_another_are_its_own_and_others_are_not(device: SimulatedDevice) -> None:
    there = device.upload(torch.ones(2))
    with device.computing():
        assert isinstance(torch.zeros(2, device=there.device), DeviceTensor)
        assert isinstance(there.new_zeros(2), DeviceTensor)
        assert not isinstance(torch.zeros(2), DeviceTensor)


def test_a_value_that_the_host_asks_for_is_a_synchronisation(device: SimulatedDevice) -> None:
    there = device.upload(torch.arange(3))
    assert device.synchronisations == 0
    assert (there.sum().item(), there.tolist(), bool((there == 0).any())) == (3, [0, 1, 2], True)
    assert device.synchronisations == 3


@pytest.mark.parametrize(
    ("ask", "waits"),
    [
        (lambda x: x.nonzero(), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: x.index_put_((x > 0,), x.new_zeros(())), 1),
        (lambda x: x.masked_select(x > 0), 1),
        (lambda x: x.unique(), 1),
        (lambda x: x[x], 0),
        (lambda x: torch.where(x > 0, x, 0), 0),
    ],
    ids=["nonzero", "mask", "put", "masked_select", "unique", "places", "where"],
)
def test_a_shape_that_values_decide_is_a_synchronisation(
    device: SimulatedDevice, ask: Callable[[Tensor], Tensor], waits: int
) -> None:
    ask(device.upload(torch.arange(3)))
    assert device.synchronisations == waits


def test_waits_for_events_are_counted_by_stream(device: SimulatedDevice) -> None:
    sent(device, torch.ones(2))
    device.record("inward").wait()
    device.record("outward").wait()
    device.record("outward").wait()
    assert device.synchronisations == 0 and device.waits == {"inward": 1, "outward": 2}
