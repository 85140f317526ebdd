#include "parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>

namespace singa {
namespace {

// What the caller and the pool's threads share. It outlives the call, because the pool may get to
// one of its tasks only after the others have done all the work.
struct Shared {
  const std::function<void(int64_t)>* task;
  int64_t count;
  std::atomic<int64_t> next{0};
  int64_t done = 0;
  std::exception_ptr error;
  std::mutex mutex;
  std::condition_variable all_done;

  void Work() {
    int64_t finished = 0;
    std::exception_ptr failure;
    int threads = 0;
    for (int64_t i; (i = next.fetch_add(1)) < count; ++finished) {
      if (finished == 0) {
        threads = omp_get_max_threads();
        omp_set_num_threads(1);
      }
      try {
        (*task)(i);
      } catch (...) {
        failure = std::current_exception();
      }
    }
    if (finished == 0) return;
    omp_set_num_threads(threads);
    std::lock_guard<std::mutex> lock(mutex);
    if (failure) error = failure;
    done += finished;
    if (done == count) all_done.notify_all();
  }
};

struct Block {
  void* data = nullptr;
  size_t bytes = 0;
  ~Block() { std::free(data); }
};

}  // namespace

void Parallel(xla::ffi::ThreadPool& pool, int64_t count, const std::function<void(int64_t)>& task) {
  if (count <= 0) return;
  auto shared = std::make_shared<Shared>();
  shared->task = &task;
  shared->count = count;
  const int64_t helpers = std::min<int64_t>(count - 1, pool.num_threads());
  for (int64_t i = 0; i < helpers; ++i) pool.Schedule([shared] { shared->Work(); });
  shared->Work();
  std::unique_lock<std::mutex> lock(shared->mutex);
  shared->all_done.wait(lock, [&] { return shared->done == shared->count; });
  if (shared->error) std::rethrow_exception(shared->error);
}

int64_t Slices(const xla::ffi::ThreadPool& pool, int64_t items, int64_t elements) {
  constexpr int64_t kWorthwhile = 32 * 1024;  // about 10 us of work
  const int64_t threads = std::max<int64_t>(1, pool.num_threads());
  return std::max<int64_t>(1, std::min({threads, items, elements / kWorthwhile}));
}

void* Scratch(Slot slot, size_t bytes) {
  thread_local Block blocks[static_cast<int>(Slot::kCount)];
  Block& block = blocks[static_cast<int>(slot)];
  if (block.bytes < bytes) {
    std::free(block.data);
    block.bytes = (bytes + 4095) / 4096 * 4096;
    block.data = std::aligned_alloc(4096, block.bytes);
    if (block.data == nullptr) {
      block.bytes = 0;
      throw std::bad_alloc();
    }
  }
  return block.data;
}

}  // namespace singa
