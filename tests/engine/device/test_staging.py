"""Staging: buffers that are used again only when nothing reads them any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphkit.engine.device.simulated import SimulatedDevice
from graphkit.engine.device.simulated_tensor import DeviceFault
from graphkit.engine.device.staging import Outgoing, Parcel, StagingRing, bring_back


@pytest.fixture
def device() -> Iterator[SimulatedDevice]:
    made = SimulatedDevice(delay=2e-3)
    yield made
    made.close()


FORMS = st.tuples(
    st.lists(st.integers(0, 5), max_size=2), st.sampled_from([torch.bool, torch.uint8, torch.float32, torch.int64])
)


@given(forms=st.lists(FORMS, max_size=6), seed=st.integers(0, 99))
def test_a_parcel_arrives_as_it_was_packed(forms: list[tuple[list[int], torch.dtype]], seed: int) -> None:
    device, generator = SimulatedDevice(seed=seed, delay=1e-4), torch.Generator().manual_seed(seed)
    given = [torch.randint(0, 2, shape, generator=generator).to(dtype) for shape, dtype in forms]
    parcel = Outgoing(device, StagingRing(device, slots=2), [(part.shape, part.dtype) for part in given])
    for target, part in zip(parcel.tensors, given, strict=True):
        assert target.data_ptr() % 64 == 0 or target.numel() == 0
        target.copy_(part)
    parcel.send()
    found = [device.download(part) for part in parcel.receive()]
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(found, given, strict=True))
    device.close()


def test_parcels_in_turn_do_not_overtake_each_other(device: SimulatedDevice) -> None:
    ring, sent = StagingRing(device, slots=2), []
    for number in range(12):
        parcel = Outgoing(device, ring, [((1 + 3 * number,), torch.float32)])  # and buffers grow
        parcel.tensors[0].fill_(number)
        parcel.send()
        sent.append(parcel)
    for number, parcel in enumerate(sent):
        assert device.download(parcel.receive()[0]).unique().tolist() == [number]


def test_a_ring_that_does_not_wait_for_its_copies_is_found(device: SimulatedDevice) -> None:
    class Hasty(StagingRing):
        def take(self, size: int):  # type: ignore[no-untyped-def]
            for slot in self._slots:
                slot.copied = None
            return super().take(size)

    ring = Hasty(device, slots=2)
    with pytest.raises(DeviceFault, match="the host overwrites pinned buffer 2, which the stream inward may not have"):
        for _ in range(3):
            Outgoing(device, ring, [((4,), torch.float32)]).send()


def test_results_come_back_without_waiting_for_what_is_given_later(device: SimulatedDevice) -> None:
    ring = StagingRing(device, slots=2)
    ones = device.upload(torch.ones(3))
    found = bring_back(device, ring, [ones + 1, (ones > 0).view(3, 1), device.upload(torch.empty(0, 4))])
    assert [part.tolist() for part in found] == [[2, 2, 2], [[True]] * 3, []]
    assert found[2].shape == (0, 4)
    assert device.synchronisations == 0


def test_places_in_a_parcel_are_aligned() -> None:
    parcel = Parcel((((3,), torch.bool), ((0, 7), torch.float32), ((2, 2), torch.int64), ((1,), torch.float32)))
    assert parcel.size == 64 + 0 + 64 + 64
    views = parcel.views(torch.zeros(parcel.size, dtype=torch.uint8))
    assert [(view.shape, view.storage_offset() * view.element_size()) for view in views] == [
        ((3,), 0),
        ((0, 7), 64),
        ((2, 2), 64),
        ((1,), 128),
    ]
