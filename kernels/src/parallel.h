// Work in parallel on XLA's own threads.
#pragma once

#include <omp.h>

#include <cstdint>
#include <functional>

#include "xla/ffi/api/ffi.h"

namespace singa {

// While it lives, OpenMP has one thread for what the calling thread does. oneDNN must neither plan
// nor run anything without it: OpenMP's own threads compete with XLA's for the processors, even
// when they wait, because they wait busily.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;

 private:
  int before_;
};

// Calls task(0), ..., task(count - 1), on the caller's thread and on those of XLA's pool that are
// free, and returns when all are done. Throws what a task throws.
void Parallel(xla::ffi::ThreadPool& pool, int64_t count, const std::function<void(int64_t)>& task);

// How many tasks to make of `items` pieces of work on `elements` numbers in all: one a thread, but
// fewer where handing the work over would take longer than doing it.
int64_t Slices(const xla::ffi::ThreadPool& pool, int64_t items, int64_t elements);

}  // namespace singa
