// What those share that call oneDNN's primitives.
#pragma once

#include <dnnl.hpp>

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace singa {

inline const dnnl::engine& Engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

inline dnnl::stream& Stream() {
  thread_local dnnl::stream stream(Engine());
  return stream;
}

// The primitives that were used last. Making one takes a while: oneDNN generates its code. A Made
// is constructed from its Key, whose Numbers() are compared.
template <typename Key, typename Made>
class Cache {
 public:
  std::shared_ptr<const Made> Get(const Key& key) {
    const auto numbers = key.Numbers();
    std::lock_guard<std::mutex> lock(mutex_);
    if (auto found = places_.find(numbers); found != places_.end()) {
      entries_.splice(entries_.begin(), entries_, found->second);
      return found->second->second;
    }
    auto made = std::make_shared<const Made>(key);
    entries_.emplace_front(numbers, made);
    places_[numbers] = entries_.begin();
    if (entries_.size() > kCapacity) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    return made;
  }

 private:
  static constexpr size_t kCapacity = 1024;
  using Known = decltype(std::declval<const Key&>().Numbers());
  using Entry = std::pair<Known, std::shared_ptr<const Made>>;
  std::mutex mutex_;
  std::list<Entry> entries_;  // the most recently used first
  std::map<Known, typename std::list<Entry>::iterator> places_;
};

// From the one cache that there is for these primitives.
template <typename Made, typename Key>
std::shared_ptr<const Made> Cached(const Key& key) {
  static auto* cache = new Cache<Key, Made>;  // never destroyed: threads may outlive main
  return cache->Get(key);
}

}  // namespace singa
