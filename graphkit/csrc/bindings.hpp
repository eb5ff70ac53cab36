// What bindings share: arrays over memory of C++, and waiting for a stream.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "samplers/stream.hpp"

namespace graphkit {

// A numpy array over memory that `owner` keeps alive.
template <class T, class Owner>
nanobind::object borrow(const T* data, std::initializer_list<std::size_t> shape, std::shared_ptr<Owner> owner) {
    auto* handle = new std::shared_ptr<Owner>(std::move(owner));
    nanobind::capsule capsule(handle, [](void* p) noexcept { delete static_cast<std::shared_ptr<Owner>*>(p); });
    return nanobind::cast(nanobind::ndarray<nanobind::numpy, T>(const_cast<T*>(data), shape, capsule));
}

template <class T>
nanobind::object own(std::vector<T> values) {
    auto kept = std::make_shared<std::vector<T>>(std::move(values));
    return borrow(kept->data(), {kept->size()}, kept);
}

// The next batch of a stream, waited for without the interpreter's lock; a signal ends the waiting.
template <class Buffer>
std::shared_ptr<const Buffer> next_batch(OrderedStream<Buffer>& stream) {
    std::shared_ptr<const Buffer> batch;
    while (!batch) {
        if (PyErr_CheckSignals() != 0) throw nanobind::python_error();
        const nanobind::gil_scoped_release release;
        batch = stream.next(std::chrono::milliseconds(100));
    }
    return batch;
}

}  // namespace graphkit
