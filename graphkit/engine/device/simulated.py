"""A device on the CPU that is as strict as a GPU is lenient: it says what would have gone wrong there.

It has memory of its own, which holds NaN until a copy has arrived; copies run on threads, after random delays, in order
within a stream and in any order between streams. Whether a use of memory is safe does not depend on what the delays
happen to be: each stream, and the host, knows what it has been told of the others by events (vector clocks; Mattern,
1988), and a use that is not known to follow what it depends on is a `DeviceFault`.

It computes with the kernels of the CPU, at once and in the order of the program, so that its results are bit for bit
those of the CPU. It cannot show what needs a compute stream that runs behind the host, such as memory that a GPU's
allocator gives away too early, nor how long anything takes. One clock stands for all threads of the host, so that what
one of them has waited for counts as known to all, and races between them are not seen. Within `computing`, the device
of a tensor is by name that of the CPU: ``torch.zeros(4, device="cpu")``, which a GPU's program would have on the host,
is taken for one on the device; leave ``device`` away for tensors of the host.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

import torch
from torch import Tensor

from graphkit.engine.device.protocol import Stream, require_mappable
from graphkit.engine.device.simulated_tensor import DeviceFault, DeviceTensor, Factories, Memory, Zeros, tensors_of

#: Bytes of memory that nothing was written to: NaN as a float, -1 as an integer.
_POISON = 0xFF

#: Operations that take shape and dtype from a tensor, and not its values.
_SHAPES = frozenset({"new_empty", "new_zeros", "new_ones", "new_full", "empty_like", "zeros_like", "ones_like"})

#: Operations that take tensors of the host as indices, as torch does on a GPU.
_INDEXED = frozenset({"index", "index_put_", "index_put", "_index_put_impl_"})

_Clock = dict[str, int]


@dataclass(frozen=True)
class _Event:
    device: SimulatedDevice
    stream: Stream
    #: done with what the stream was given before
    done: Future[None]
    #: what is known to have happened then
    clock: _Clock

    def wait(self) -> None:
        """Blocks the host until then."""
        self.device.waits[self.stream] += 1
        self.device.join(self.done)
        self.device.learn("host", self.clock)


@dataclass
class _Copies:
    """A stream of copies: a thread, and what it was given last."""

    delays: random.Random
    thread: ThreadPoolExecutor | None = None
    last: Future[None] = field(default_factory=Future)


class SimulatedDevice:
    """See above; implements `Device`.

    Args:
        seed: of the delays.
        delay: the longest that a copy waits before it begins, in seconds; delays are uniform.
    """

    def __init__(self, *, seed: int = 0, delay: float = 1e-3) -> None:
        self.delay = delay
        #: how often the host waited for a value of the device, which stops a GPU's stream
        self.synchronisations = 0
        #: how often it waited for an event of each stream, which stops none
        self.waits: Counter[Stream] = Counter()
        self._lock = threading.RLock()
        self._clocks: dict[str, _Clock] = {who: {} for who in ("host", *get_args(Stream))}
        self._copies = {
            name: _Copies(random.Random(f"{seed} {name}"), last=_finished()) for name in ("inward", "outward")
        }
        self._host: dict[int, Memory] = {}
        self._pinned: list[Tensor] = []
        self._allocated = 0
        # Faults that the host has met.
        self._told: list[BaseException] = []

    # ---- memory

    def pinned(self, size: int) -> Tensor:
        """See `Device.pinned`."""
        buffer = torch.full((max(size, 1),), _POISON, dtype=torch.uint8)[:size]
        with self._lock:
            self._host[_address(buffer)] = Memory(f"pinned buffer {len(self._pinned)}")
            self._pinned.append(buffer)  # kept, so that no other tensor takes its address
        return buffer

    def allocate(self, *shape: int, dtype: torch.dtype, stream: Stream) -> Tensor:
        """See `Device.allocate`; the tensor holds NaN."""
        held = torch.empty(shape, dtype=dtype)
        held.view(-1).view(torch.uint8).fill_(_POISON)
        with self._lock:
            return DeviceTensor(held, self._new_memory(), self)

    def mapped(self, host: Tensor) -> Tensor:
        """See `Device.mapped`; memory that is mapped already is refused, as by a GPU's driver."""
        require_mappable(host)
        with self._lock:
            if _address(host) in self._host:
                raise DeviceFault(
                    f"the table of {len(host)} rows is mapped already; unmap it before it is mapped again"
                )
            memory = self._host[_address(host)] = Memory(f"mapped table of {len(host)} rows")
            return DeviceTensor(host, memory, self)

    def unmap(self, host: Tensor) -> None:
        """See `Device.unmap`."""
        with self._lock:
            self.learn("host", self._clocks["compute"])
            self._use(self._host.pop(_address(host)), "host", self._tick("host"), "the host", writes=True)

    def host_reads(self, *buffers: Tensor) -> None:
        """See `Device.host_reads`."""
        for buffer in buffers:
            self._host_uses(buffer, writes=False)

    def host_writes(self, *buffers: Tensor) -> None:
        """See `Device.host_writes`."""
        for buffer in buffers:
            self._host_uses(buffer, writes=True)

    def _host_uses(self, buffer: Tensor, *, writes: bool) -> None:
        with self._lock:
            memory = self._host.get(_address(buffer))
            if memory is not None:
                self._use(memory, "host", self._tick("host"), "the host", writes=writes)

    def _new_memory(self) -> Memory:
        self._allocated += 1
        return Memory(f"device buffer {self._allocated}")

    # ---- streams

    def copy(self, source: Tensor, target: Tensor, stream: Stream) -> None:
        """See `Device.copy`; what is changed while it is copied is a fault, found when somebody waits for the copy."""
        inward = stream == "inward"
        if isinstance(source, DeviceTensor) == inward or isinstance(target, DeviceTensor) != inward:
            raise DeviceFault(f"a copy of the stream {stream} does not lead {stream}; give source and target that do")
        with self._lock:
            self.learn(stream, self._clocks["host"])
            now = self._tick(stream)
            what = f"copy {now} of the stream {stream}"
            self._use(self._memory(source), stream, now, what, writes=False)
            self._use(self._memory(target), stream, now, what, writes=True)
            read, written = _plain(source), _plain(target)
            as_it_was = _bytes(read).clone()
            written.view(-1).view(torch.uint8).fill_(_POISON)
            delay, name = self._copies[stream].delays.uniform(0, self.delay), self._memory(source).name

            def run() -> None:
                time.sleep(delay)
                if not torch.equal(_bytes(read), as_it_was):
                    raise DeviceFault(
                        f"{name} was written to during {what}; wait for the event of a copy before its source is used "
                        "again"
                    )
                written.copy_(read)

            self._submit(stream, run)  # within the lock: the stream runs copies in the order of its clock

    def record(self, stream: Stream) -> _Event:
        """See `Device.record`."""
        with self._lock:
            done = _finished() if stream == "compute" else self._copies[stream].last
            return _Event(self, stream, done, dict(self._clocks[stream]))

    def wait(self, stream: Stream, event: _Event) -> None:
        """See `Device.wait`; the simulated ``compute`` runs with the host, and so the host waits with it."""
        if stream == "compute":
            self.join(event.done)
        else:
            self._submit(stream, event.done.result)
        with self._lock:
            self.learn(stream, event.clock)

    def learn(self, who: str, clock: _Clock) -> None:
        """Lets a stream, or the host, know what an event says has happened."""
        with self._lock:
            known = self._clocks[who]
            for other, number in clock.items():
                known[other] = max(known.get(other, 0), number)

    def join(self, done: Future[None]) -> None:
        """Blocks the host until a copy has ended, and raises what was wrong with it."""
        try:
            done.result()
        except Exception as fault:
            self._told.append(fault)
            raise

    def close(self) -> None:
        """See `Device.close`; a fault of a copy that nobody has waited for is raised, unless another is on its way."""
        failed: list[BaseException] = []
        for copies in self._copies.values():
            if copies.thread is not None:
                copies.thread.shutdown(wait=True)
                copies.thread = None
                fault = copies.last.exception()
                failed += [fault] if fault is not None and fault not in self._told else []
                copies.last = _finished()
        if failed and sys.exception() is None:
            raise failed[0]

    def _submit(self, stream: Stream, work: Callable[[], None]) -> None:
        with self._lock:
            copies = self._copies[stream]
            if copies.thread is None:
                copies.thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"graphkit-{stream}")
            before = copies.last

            def run() -> None:
                before.result()  # a stream that has failed does nothing more
                work()

            copies.last = copies.thread.submit(run)

    # ---- who may use what

    def _tick(self, who: str) -> int:
        clock = self._clocks[who]
        clock[who] = clock.get(who, 0) + 1
        return clock[who]

    def _use(self, memory: Memory, who: str, now: int, what: str, *, writes: bool) -> None:
        """Notes a use of memory; those that it has to follow must be known to be over."""
        known = self._clocks[who]
        if memory.written is not None:
            writer, number = memory.written
            if writer != who and known.get(writer, 0) < number:
                verb = "writes" if writes else "reads"
                raise DeviceFault(
                    f"{what} {verb} {memory.name}, which {_named(writer)} may not have filled yet (its number "
                    f"{number}); wait for an event that was recorded after it"
                )
        if not writes:
            memory.read[who] = now
            return
        for reader, number in memory.read.items():
            if reader != who and known.get(reader, 0) < number:
                raise DeviceFault(
                    f"{what} overwrites {memory.name}, which {_named(reader)} may not have read yet (its number "
                    f"{number}); wait for an event that was recorded after it"
                )
        memory.written, memory.read = (who, now), {}

    def _memory(self, tensor: Tensor) -> Memory:
        if isinstance(tensor, DeviceTensor):
            return tensor.memory
        memory = self._host.get(_address(tensor))
        if memory is None:
            raise DeviceFault("a copy names host memory that is not pinned; take it from Device.pinned")
        return memory

    # ---- computing

    @contextmanager
    def computing(self) -> Iterator[None]:
        """See `Device.computing`: tensors that are made for the device of another one are the device's."""
        factories = Factories(self._adopt)
        with factories, Zeros(factories, self._adopt):
            yield

    def upload(self, host: Tensor) -> Tensor:
        """See `Device.upload`."""
        return self._adopt(host.detach().clone(memory_format=torch.contiguous_format))

    def download(self, tensor: Tensor) -> Tensor:
        """See `Device.download`."""
        assert isinstance(tensor, DeviceTensor)
        return self.read(tensor).clone()

    def read(self, tensor: DeviceTensor) -> Tensor:
        """See `Executor.read`."""
        with self._lock:
            self.synchronisations += 1
            self._use(tensor.memory, "compute", self._tick("compute"), "the host", writes=False)
            self.learn("host", self._clocks["compute"])
            return tensor.held.detach()

    def execute(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs an operation of torch on tensors of the device; see `Executor`."""
        name = str(operation).removesuffix(".default")
        given = tensors_of((args, kwargs))
        plain = operation.__name__.partition(".")[0]
        for tensor in given:
            if not isinstance(tensor, DeviceTensor) and tensor.dim() > 0 and plain not in _INDEXED:
                raise DeviceFault(
                    f"{name} mixes tensors of the device with one of the host, of shape {tuple(tensor.shape)}; copy it "
                    "to the device first"
                )
        with self._lock:
            self.learn("compute", self._clocks["host"])
            now = self._tick("compute")
            if plain not in _SHAPES:
                self._use_arguments(operation, args, kwargs, name, now)
        found = operation(*_unwrapped(args), **_unwrapped(kwargs))
        is_value = not tensors_of(found) and not isinstance(found, list | tuple) and found is not None
        if is_value or _shape_needs_values(operation, plain, given):
            with self._lock:
                self.synchronisations += 1
                self.learn("host", self._clocks["compute"])
        if is_value:
            return found
        wrappers = [tensor for tensor in given if isinstance(tensor, DeviceTensor)]
        return self._wrapped(found, wrappers, now)

    def _use_arguments(
        self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], name: str, now: int
    ) -> None:
        """Notes what an operation reads and writes, by its schema."""
        schema = operation._schema
        changes = [argument.alias_info is not None and argument.alias_info.is_write for argument in schema.arguments]
        if not any(changes) and any(result.alias_info is not None for result in schema.returns):
            return  # a view
        for place, argument in enumerate(schema.arguments):
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            for tensor in tensors_of(value):
                if isinstance(tensor, DeviceTensor):
                    self._use(tensor.memory, "compute", now, name, writes=changes[place])

    def _wrapped(self, found: Any, given: list[DeviceTensor], now: int) -> Any:
        """Returns results as tensors of the device: an argument itself, a view of one, or a new one."""
        if isinstance(found, Tensor):
            for tensor in given:
                if found is tensor.held:
                    return tensor
            if found.untyped_storage().nbytes() > 0:
                for tensor in given:
                    if _address(found) == _address(tensor.held):
                        return DeviceTensor(found, tensor.memory, self)
            return self._adopt(found, now)
        if isinstance(found, list | tuple):
            return type(found)(self._wrapped(part, given, now) for part in found)
        return found

    def _adopt(self, held: Tensor, now: int | None = None) -> Tensor:
        """Returns a tensor of the device that ``compute`` has just made."""
        with self._lock:
            memory = self._new_memory()
            memory.written = ("compute", self._tick("compute") if now is None else now)
            return DeviceTensor(held, memory, self)


def _shape_needs_values(operation: Any, plain: str, given: list[Tensor]) -> bool:
    """Whether the shape of what an operation returns depends on values, which a host reads before it goes on."""
    if plain in _INDEXED:
        return any(tensor.dtype in (torch.bool, torch.uint8) for tensor in given[1:])
    return torch.Tag.dynamic_output_shape in operation.tags


def _finished() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done


def _named(who: str) -> str:
    return "the host" if who == "host" else f"the stream {who}"


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _plain(tensor: Tensor) -> Tensor:
    return tensor.held.detach() if isinstance(tensor, DeviceTensor) else tensor.detach()


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.reshape(-1).view(torch.uint8)


def _unwrapped(value: Any) -> Any:
    """Returns nested arguments with the device's memory in place of its tensors."""
    if isinstance(value, DeviceTensor):
        return value.held
    if isinstance(value, dict):
        return {key: _unwrapped(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_unwrapped(part) for part in value)
    return value
