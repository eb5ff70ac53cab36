"""Engines that compute on a device: a GPU, or one that is simulated."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, get_args

from torch import Tensor, nn

from graphkit.engine.device.cache import Policy
from graphkit.engine.device.cuda import CudaDevice
from graphkit.engine.device.out_of_memory import explained
from graphkit.engine.device.pipeline import DeviceFeed
from graphkit.engine.device.protocol import Device
from graphkit.engine.device.simulated import SimulatedDevice
from graphkit.engine.engine import Engine, Feed
from graphkit.engine.prefetch import GatheredBatch
from graphkit.engine.table import EmbeddingTable
from graphkit.errors import GraphkitError
from graphkit.samplers import QueryBatch


class DeviceEngine(Engine):
    """Computes on a device; tables and their optimisers stay on the host, but for rows that are cached.

    The host's model and table are brought up to date when the task is saved, evaluated or closed.

    Args:
        device: the device.
        cache_rows: so many rows stay on the device with their optimiser's state; 0 = none.
        cache: which rows: ``degree``, those with the most edges; ``lru``, those that batches named last.
        zero_copy: let the device read rows that are not cached from the host's memory, instead of copying them ahead.

    Raises:
        GraphkitError: an option is out of range.
    """

    def __init__(self, device: Device, *, cache_rows: int, cache: Policy, zero_copy: bool) -> None:
        if cache_rows < 0:
            raise GraphkitError(f"engine.cache_rows is {cache_rows}, and 0 (no cache) or more is needed")
        if cache not in get_args(Policy):
            raise GraphkitError(f"engine.cache is {cache!r}, and degree or lru is needed")
        self.device = device
        self.cache_rows = cache_rows
        self.cache = cache
        self.zero_copy = zero_copy
        self._models: tuple[nn.Module, nn.Module] | None = None
        self._feed: DeviceFeed | None = None

    def place(self, model: nn.Module) -> nn.Module:
        """See `Engine.place`: a twin whose parameters and buffers lie on the device.

        Raises:
            GraphkitError: the engine has a model already.
        """
        if self._models is not None:
            raise GraphkitError("this engine serves a task already, and an engine serves one; make one for each task")
        # By identity, so that parameters which several modules share are shared on the device.
        there: dict[int, Any] = {id(buffer): self.device.upload(buffer) for buffer in model.buffers()}
        for parameter in model.parameters():
            there[id(parameter)] = nn.Parameter(self.device.upload(parameter), requires_grad=parameter.requires_grad)
        twin = copy.deepcopy(model, there)
        self._models = (model, twin)
        return twin

    def feed(
        self, batches: Iterator[QueryBatch], table: EmbeddingTable, *, all_rows: bool, degrees: Callable[[], Tensor]
    ) -> Feed:
        """See `Engine.feed`.

        Raises:
            GraphkitError: the table is bfloat16 and its rows are to be cached or read where they lie, or is not
                contiguous and they are to be read so, or the device's memory does not suffice.
        """
        self.stop()
        self._feed = DeviceFeed(
            self.device,
            batches,
            table,
            all_rows=all_rows,
            cache_rows=self.cache_rows,
            cache=self.cache,
            zero_copy=self.zero_copy,
            degrees=degrees,
        )
        return self._feed

    def stop(self, *, discard: bool = False) -> None:  # noqa: D102
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close(discard=discard)

    @contextmanager
    def computing(self) -> Iterator[None]:  # noqa: D102
        with explained(self.cache_rows), self.device.computing():
            yield

    def collect(self, batch: GatheredBatch, losses: list[Tensor], gradient: Tensor) -> tuple[float, Tensor]:  # noqa: D102
        assert self._feed is not None  # it delivered the batch
        with explained(self.cache_rows):
            return self._feed.collect(batch, losses, gradient)

    def update(self, table: EmbeddingTable, batch: GatheredBatch, gradient: Tensor) -> None:  # noqa: D102
        assert self._feed is not None
        with explained(self.cache_rows):
            self._feed.update(batch, gradient)

    def write_back(self) -> None:  # noqa: D102
        if self._feed is not None:
            self._feed.write_back()
        if self._models is not None:
            model, twin = self._models
            model.load_state_dict({name: self.device.download(value) for name, value in twin.state_dict().items()})

    def reload(self) -> None:  # noqa: D102
        assert self._models is not None
        model, twin = self._models
        twin.load_state_dict({name: self.device.upload(value) for name, value in model.state_dict().items()})

    def to_host(self, state: Any) -> Any:  # noqa: D102
        return _mapped(state, self.device.download)

    def to_device(self, state: Any) -> Any:  # noqa: D102
        return _mapped(state, self.device.upload)

    def close(self) -> None:
        """See `Engine.close`; whichever part fails, the others are done."""
        with ExitStack() as rest:
            rest.callback(self.device.close)
            rest.callback(self.write_back)
            self.stop()


class GPU(DeviceEngine):
    """Computes on an NVIDIA GPU.

    Args:
        index: which one, as ``nvidia-smi`` counts those that are visible.
        cache_rows, cache, zero_copy: see `DeviceEngine`; tables of bfloat16 go without cache and without zero_copy.

    Raises:
        GraphkitError: torch cannot use the GPU, or an option is out of range.
    """

    def __init__(
        self, *, index: int = 0, cache_rows: int = 0, cache: Policy = "degree", zero_copy: bool = False
    ) -> None:
        device = CudaDevice(index)
        from graphkit.engine.cuda.registration import register  # launch code, which other devices do without

        register()  # or says what is missing for it, now rather than within the first step
        super().__init__(device, cache_rows=cache_rows, cache=cache, zero_copy=zero_copy)


class Simulated(DeviceEngine):
    """Computes on the CPU as if it were a device, and finds where a program would go wrong on one; see there.

    Args:
        delay_seed: of the delays of copies.
        delay: the longest, in seconds.
        cache_rows, cache, zero_copy: see `DeviceEngine`.

    Raises:
        GraphkitError: an option is out of range.
    """

    def __init__(
        self,
        *,
        delay_seed: int = 0,
        delay: float = 0.001,
        cache_rows: int = 0,
        cache: Policy = "degree",
        zero_copy: bool = False,
    ) -> None:
        if not delay >= 0:
            raise GraphkitError(f"engine.delay is {delay}, and 0 seconds or more are needed")
        device = SimulatedDevice(seed=delay_seed, delay=delay)
        super().__init__(device, cache_rows=cache_rows, cache=cache, zero_copy=zero_copy)


def _mapped(state: Any, move: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(state, dict):
        return {key: _mapped(value, move) for key, value in state.items()}
    return move(state) if isinstance(state, Tensor) else state
