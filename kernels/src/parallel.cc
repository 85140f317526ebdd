#include "parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>

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
    for (int64_t i; (i = next.fetch_add(1)) < count; ++finished) {
      try {
        (*task)(i);
      } catch (...) {
        failure = std::current_exception();
      }
    }
    if (finished == 0) return;
    std::lock_guard<std::mutex> lock(mutex);
    if (failure) error = failure;
    done += finished;
    if (done == count) all_done.notify_all();
  }
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

}  // namespace singa
