"""Tensors in the memory of a simulated device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from graphkit.errors import GraphkitError


class DeviceFault(GraphkitError):
    """A program used a device's memory in a way that a real device would not have noticed."""


@dataclass
class Memory:
    """Who has used a piece of memory: a stream, or the host, and the number of what it did there."""

    #: as faults name it
    name: str
    #: what wrote it last, and whom nobody else may follow without an event
    written: tuple[str, int] | None = None
    #: the last use of each reader since then
    read: dict[str, int] = field(default_factory=dict)


class Executor(Protocol):
    """Who runs operations on the tensors: the device that they belong to."""

    def execute(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Runs one operation of torch's dispatcher, some of whose arguments are `DeviceTensor`."""

    def read(self, tensor: DeviceTensor) -> Tensor:
        """Waits for the device and returns a tensor's values on the host."""


class DeviceTensor(Tensor):
    """A tensor that torch's operations reach by way of its device only.

    For torch it lies on the CPU, so that operations take the kernels of the CPU; but it has no memory that other code
    could read, and the device refuses operations that mix it with tensors of the host.
    """

    held: Tensor
    memory: Memory
    home: Executor

    @staticmethod
    def __new__(cls, held: Tensor, memory: Memory, home: Executor) -> DeviceTensor:
        """Wraps a tensor of the device's memory."""
        tensor: DeviceTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=held.device,
        )
        tensor.held, tensor.memory, tensor.home = held, memory, home
        return tensor

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]  # torch says to do so

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch's is a placeholder
        cls, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Lets the device run an operation."""
        (home, *_) = (tensor.home for tensor in tensors_of((args, kwargs or {})) if isinstance(tensor, DeviceTensor))
        return home.execute(operation, args, kwargs or {})

    def data_ptr(self) -> int:
        """Returns the address in the device's memory."""
        return self.held.data_ptr()

    def numpy(self, *, force: bool = False) -> NoReturn:
        """Refuses, as any access of the host."""
        raise _reached("numpy")

    def tolist(self) -> Any:
        """Returns the values; a synchronisation."""
        return self.home.read(self).tolist()

    def __dlpack__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise _reached("DLPack")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise _reached("numpy")

    def __repr__(self, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        return f"DeviceTensor(shape={tuple(self.shape)}, dtype={self.dtype})"


class Factories(TorchFunctionMode):
    """Tensors that are made on the device of another one (``torch.zeros(3, device=x.device)``) become the device's."""

    _MAKERS = frozenset({torch.zeros, torch.ones, torch.full, torch.empty, torch.arange, torch.tensor, torch.rand})

    def __init__(self, adopt: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._adopt = adopt
        self.making = False

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs a function; wraps what was made on a device by name."""
        if function not in self._MAKERS:
            return function(*args, **(kwargs or {}))
        self.making = True
        try:
            made = function(*args, **(kwargs or {}))
        finally:
            self.making = False
        return made if (kwargs or {}).get("device") is None else self._adopt(made)


class Zeros(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types
    """Zeros that autograd itself makes, for outputs without a gradient, become the device's too."""

    def __init__(self, factories: Factories, adopt: Callable[[Tensor], Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._factories = factories
        self._adopt = adopt

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs an operation; wraps zeros that no program has asked for."""
        made = operation(*args, **(kwargs or {}))
        if operation is torch.ops.aten.zeros.default and not self._factories.making:
            return self._adopt(made)
        return made


def tensors_of(value: Any) -> list[Tensor]:
    """Returns the tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for part in value for tensor in tensors_of(part)]
    return []


def _reached(way: str) -> DeviceFault:
    return DeviceFault(
        f"the host reaches for a device's memory by {way}; copy it to the host first, and wait for the copy"
    )
