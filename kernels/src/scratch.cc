#include "scratch.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <utility>

namespace singa {
namespace {

constexpr size_t kPage = 4096;

struct Pool {
  std::mutex mutex;
  std::multimap<size_t, void*> blocks;  // by size: those that nobody uses now
};

Pool& ThePool() {
  static Pool* pool = new Pool;  // never destroyed: threads may outlive main
  return *pool;
}

}  // namespace

Scratch::Scratch(size_t bytes) : bytes_((bytes + kPage - 1) / kPage * kPage) {
  if (bytes_ == 0) return;
  Pool& pool = ThePool();
  void* outgrown = nullptr;
  {
    std::lock_guard<std::mutex> lock(pool.mutex);
    auto found = pool.blocks.lower_bound(bytes_);
    const bool fits = found != pool.blocks.end();
    if (!fits && !pool.blocks.empty()) --found;
    if (found != pool.blocks.end()) {
      (fits ? data_ : outgrown) = found->second;
      if (fits) bytes_ = found->first;
      pool.blocks.erase(found);
    }
  }
  if (data_ != nullptr) return;
  // The new block replaces the largest that was too small: there are never more blocks than were
  // used at the same time.
  std::free(outgrown);
  data_ = std::aligned_alloc(kPage, bytes_);
  if (data_ == nullptr) throw std::bad_alloc();
}

Scratch::~Scratch() {
  if (data_ == nullptr) return;
  Pool& pool = ThePool();
  std::lock_guard<std::mutex> lock(pool.mutex);
  pool.blocks.emplace(bytes_, data_);
}

Scratch& Scratch::operator=(Scratch&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace singa
