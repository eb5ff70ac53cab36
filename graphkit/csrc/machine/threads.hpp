// The threads that native operations of the engine share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>

namespace graphkit {

// Runs task(0) to task(tasks - 1), each once, on at most `threads` threads of which the caller is one, and returns when
// all are done. Tasks are handed out in order to whichever thread is free, so that no result may depend on who runs
// what. When the other threads are busy with somebody else's tasks the caller runs all of its own. Tasks must not
// throw.
void run_tasks(std::size_t tasks, unsigned threads, const std::function<void(std::size_t)>& task);

// Runs part(begin, end) for `size` items in steps.
template <class Part>
void in_steps(std::size_t size, std::size_t step, unsigned threads, const Part& part) {
    run_tasks((size + step - 1) / step, threads,
              [&](std::size_t task) { part(task * step, std::min(size, (task + 1) * step)); });
}

// Runs part(begin, end) for columns of rows of floats, side by side and in whole cache lines, on as many threads: what
// is added up in a column is added in the order of the rows.
template <class Part>
void in_columns(std::size_t columns, unsigned threads, const Part& part) {
    constexpr std::size_t kFloatsOfLine = 16;
    const std::size_t lines = (columns + kFloatsOfLine - 1) / kFloatsOfLine;
    const std::size_t step = (lines + threads - 1) / threads * kFloatsOfLine;
    run_tasks(threads, threads,
              [&](std::size_t task) { part(std::min(task * step, columns), std::min((task + 1) * step, columns)); });
}

}  // namespace graphkit
