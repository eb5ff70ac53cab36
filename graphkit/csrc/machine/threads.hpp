// The threads that native operations of the engine share.
#pragma once

#include <cstddef>
#include <functional>

namespace graphkit {

// Runs task(0) to task(tasks - 1), each once, on at most `threads` threads of which the caller is one, and returns when
// all are done. Tasks are handed out in order to whichever thread is free, so that no result may depend on who runs
// what. When the other threads are busy with somebody else's tasks the caller runs all of its own. Tasks must not
// throw.
void run_tasks(std::size_t tasks, unsigned threads, const std::function<void(std::size_t)>& task);

}  // namespace graphkit
