#include "scratch.h"

#include <sys/mman.h>

#include <map>
#include <mutex>
#include <new>
#include <utility>

namespace singa {
namespace {

constexpr size_t kPage = 4096;

// From the system and not from malloc: these blocks stay. In malloc's heap they would lie above the
// memory of the program that runs now, as the first call of a kernel happens in one. malloc could
// not join that memory with the heap's free top then, and would take it anew for the next run.
void* Map(size_t bytes) {
  void* block = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (block == MAP_FAILED) throw std::bad_alloc();
  return block;
}

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
  std::pair<size_t, void*> outgrown{};
  {
    std::lock_guard<std::mutex> lock(pool.mutex);
    auto found = pool.blocks.lower_bound(bytes_);
    const bool fits = found != pool.blocks.end();
    if (!fits && !pool.blocks.empty()) --found;
    if (found != pool.blocks.end()) {
      if (fits)
        bytes_ = found->first, data_ = found->second;
      else
        outgrown = *found;
      pool.blocks.erase(found);
    }
  }
  if (data_ != nullptr) return;
  // The new block replaces the largest that was too small: there are never more blocks than were
  // used at the same time.
  if (outgrown.second != nullptr) munmap(outgrown.second, outgrown.first);
  data_ = Map(bytes_);
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
