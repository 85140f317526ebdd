// Work in parallel on XLA's own threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "xla/ffi/api/ffi.h"

namespace singa {

// Calls task(0), ..., task(count - 1), on the caller's thread and on those of XLA's pool that are
// free, and returns when all are done. Inside a task, OpenMP (and with it oneDNN) has one thread:
// no second pool of threads competes with XLA's. Throws what a task throws.
void Parallel(xla::ffi::ThreadPool& pool, int64_t count, const std::function<void(int64_t)>& task);

// How many tasks to make of `items` pieces of work on `elements` numbers in all: one a thread, but
// fewer where handing the work over would take longer than doing it.
int64_t Slices(const xla::ffi::ThreadPool& pool, int64_t items, int64_t elements);

// Memory of the calling thread, aligned for vectors, that is kept for the next call. The thread's
// slots are independent of each other.
enum class Slot { kScratchpad, kCount };
void* Scratch(Slot slot, size_t bytes);

}  // namespace singa
