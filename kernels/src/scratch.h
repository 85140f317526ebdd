// Memory that a kernel needs while it runs.
#pragma once

#include <cstddef>

namespace singa {

// Borrowed from a pool that all threads share, and returned when the object goes. What is returned
// stays mapped: memory that is fresh from the system costs a page fault for every 4 KiB, which is
// more than most kernels do with it. Aligned for vectors.
class Scratch {
 public:
  Scratch() = default;
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(Scratch&& other) noexcept : data_(other.data_), bytes_(other.bytes_) {
    other.data_ = nullptr;
  }
  Scratch& operator=(Scratch&& other) noexcept;

  void* get() const { return data_; }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace singa
