// Attention and its gradients as XLA custom calls, without the matrix of all weights.
//
// Queries (..., L, E), keys (..., S, E), values (..., S, V) and a mask have the same number of axes.
// Queries, keys, values, and on the way back y and dy, are float32 or bfloat16; all else, the results
// too, is float32. The leading axes of keys and values are those of the queries, but the
// last ones may be 1: these heads of queries share their keys and values. A mask's axis may be 1
// anywhere. Heads of keys are shared out among XLA's threads; few heads are cut: on the way there
// into tiles of queries, on the way back into tiles of keys.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "attention_loops.h"
#include "images.h"
#include "parallel.h"
#include "scratch.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;
using Floats = ffi::Buffer<ffi::F32>;
using Result = ffi::Result<Floats>;
using Words = ffi::Buffer<ffi::U32>;

float* Borrowed(const Scratch& scratch) { return static_cast<float*>(scratch.get()); }

// What a call is given.
struct Given {
  Some q, k, v;
  ffi::AnyBuffer mask;
  Words key;
  Floats kept;
  float factor;
  bool causal;
};

struct Attention {
  AttentionSizes sizes;
  int64_t heads = 1, groups = 1;  // of keys; of queries for each of them

  explicit Attention(const Given& given)
      : lead_(given.q.dimensions().begin(), given.q.dimensions().end()), mask_(given.mask) {
    const auto ks = given.k.dimensions(), vs = given.v.dimensions();
    const Words& key = given.key;
    const Floats& kept = given.kept;
    const size_t rank = lead_.size();
    Require(rank >= 2 && ks.size() == rank && vs.size() == rank, "the numbers of axes differ");
    sizes = {lead_[rank - 2], ks[rank - 2],  lead_[rank - 1], vs[rank - 1],
             given.factor,    given.causal,  {}};
    Require(ks[rank - 1] == sizes.size && vs[rank - 2] == sizes.keys, "the sizes differ");
    lead_.resize(rank - 2);
    for (size_t i = 0; i + 2 < rank; ++i) {
      Require(ks[i] == vs[i], "the heads of keys and values differ");
      const bool shares = groups > 1 || (ks[i] == 1 && lead_[i] != 1);
      Require(ks[i] == (shares ? 1 : lead_[i]), "the heads of queries and keys differ");
      (shares ? groups : heads) *= lead_[i];
    }
    for (int64_t size : {sizes.queries, sizes.keys, sizes.size, sizes.values, heads, groups})
      Require(size > 0, "a size is 0");
    ReadMask(rank);
    Require(key.element_count() == 0 || (key.element_count() == 2 && kept.element_count() == 2),
            "dropout has a key of two words and two numbers");
    if (key.element_count() > 0)
      sizes.dropout = {true,
                       {key.typed_data()[0], key.typed_data()[1]},
                       kept.typed_data()[0],
                       kept.typed_data()[1]};
  }

  // What is hidden from head `head` of the queries, of all heads.
  Hidden From(int64_t head) const {
    Hidden found{{}, static_cast<uint64_t>(head * sizes.queries * sizes.keys)};
    int64_t offset = 0, left = head;
    for (size_t i = lead_.size(); i-- > 0; left /= lead_[i])
      offset += left % lead_[i] * mask_steps_[i];
    const size_t rank = lead_.size() + 2;
    found.mask.row_step = mask_steps_[rank - 2];
    found.mask.column_step = mask_steps_[rank - 1];
    if (mask_.element_type() == ffi::PRED)
      found.mask.allowed = static_cast<const uint8_t*>(mask_.untyped_data()) + offset;
    else if (mask_.element_count() > 0)
      found.mask.added = static_cast<const float*>(mask_.untyped_data()) + offset;
    return found;
  }

  // How many tasks to make, and of how many parts of each head of keys, of `most` at most: more
  // than one only if there are fewer heads than threads.
  struct Cut {
    int64_t tasks, parts;
  };
  Cut CutFor(const ffi::ThreadPool& pool, int64_t most) const {
    constexpr int64_t kMultipliedInOneElementsTime = 24;
    const int64_t work = heads * groups * sizes.queries * sizes.keys *
                         (sizes.size + sizes.values) / kMultipliedInOneElementsTime;
    const int64_t threads = Slices(pool, heads * most, work);
    const int64_t wanted = threads > 1 ? 4 * threads : 1;
    const int64_t parts = std::min(most, heads >= wanted / 2 ? 1 : (wanted + heads - 1) / heads);
    return {std::min(wanted, heads * parts), parts};
  }

  // Calls run(head, part) for all parts of all heads of keys, in parallel.
  template <typename Run>
  void Share(ffi::ThreadPool& pool, const Cut& cut, const Run& run) const {
    Parallel(pool, cut.tasks, [&](int64_t task) {
      for (int64_t i = task; i < heads * cut.parts; i += cut.tasks)
        run(i / cut.parts, i % cut.parts);
    });
  }

 private:
  void ReadMask(size_t rank) {
    mask_steps_.assign(rank, 0);
    if (mask_.element_type() != ffi::PRED && mask_.element_count() == 0) return;
    const auto dimensions = mask_.dimensions();
    Require(mask_.element_type() == ffi::PRED || mask_.element_type() == ffi::F32,
            "a mask is of bools or float32");
    Require(dimensions.size() == rank, "the numbers of axes differ");
    int64_t step = 1;
    for (size_t i = rank; i-- > 0; step *= dimensions[i]) {
      const int64_t full = i == rank - 1 ? sizes.keys : i == rank - 2 ? sizes.queries : lead_[i];
      Require(dimensions[i] == full || dimensions[i] == 1, "the mask does not fit");
      mask_steps_[i] = dimensions[i] == 1 ? 0 : step;
    }
  }

  std::vector<int64_t> lead_, mask_steps_;
  ffi::AnyBuffer mask_;
};

template <typename Buffer>
void Expect(const Buffer& buffer, int64_t count) {
  Require(static_cast<int64_t>(buffer.element_count()) == count, "a result is of another size");
}

template <typename Number>
void Run(ffi::ThreadPool& pool, const Given& given, Result& y, Result& lse) {
  const Attention attention(given);
  const AttentionSizes& s = attention.sizes;
  const auto *q = Data<Number>(given.q), *k = Data<Number>(given.k), *v = Data<Number>(given.v);
  const int64_t groups = attention.groups, queries = attention.heads * groups * s.queries;
  Expect(*y, queries * s.values);
  Expect(*lse, queries);
  const AttentionLoopsOf<Number>& loops = BestAttentionLoops().Of<Number>();
  const int64_t tiles = (s.queries + loops.tile - 1) / loops.tile;
  const int64_t packed_size = loops.packed_size(s);
  const Attention::Cut cut = attention.CutFor(pool, groups * tiles);
  attention.Share(pool, cut, [&](int64_t head, int64_t part) {
    const Scratch borrowed(
        static_cast<size_t>(packed_size + loops.attend_size(s)) * sizeof(float));
    float* const packed = Borrowed(borrowed);
    const Number* const values = v + head * s.keys * s.values;
    loops.pack(s, k + head * s.keys * s.size, values, packed);
    // 0 times infinity is no number, whatever the mask says.
    const bool skips = s.causal && loops.finite(values, s.keys * s.values);
    for (int64_t i = part; i < groups * tiles; i += cut.parts) {
      const int64_t of_all = head * groups + i / tiles, first = i % tiles * loops.tile;
      loops.attend(s, q + of_all * s.queries * s.size, attention.From(of_all), packed, values,
                   skips, first, std::min(loops.tile, s.queries - first),
                   y->typed_data() + of_all * s.queries * s.values,
                   lse->typed_data() + of_all * s.queries, packed + packed_size);
    }
  });
}

ffi::Error Forward(ffi::ThreadPool pool, Some q, Some k, Some v, ffi::AnyBuffer mask, Words key,
                   Floats kept, float factor, bool causal, Result y, Result lse) {
  return Guarded("attention", [&] {
    const Given given{q, k, v, mask, key, kept, factor, causal};
    WithTypeOf(q, [&](auto number) { Run<decltype(number)>(pool, given, y, lse); });
  });
}

struct Gradients {
  Result &dq, &dk, &dv;
};

template <typename Number>
void RunBack(ffi::ThreadPool& pool, const Given& given, const Some& y, const Floats& lse,
             const Some& dy, const Gradients& found) {
  const Attention attention(given);
  const AttentionSizes& s = attention.sizes;
  const auto *q = Data<Number>(given.q), *k = Data<Number>(given.k), *v = Data<Number>(given.v);
  const auto *ys = Data<Number>(y), *dys = Data<Number>(dy);
  float* const dq = found.dq->typed_data();
  const int64_t groups = attention.groups, queries = groups * s.queries;
  for (const Some& each : {y, dy}) Expect(each, attention.heads * queries * s.values);
  Expect(lse, attention.heads * queries);
  Expect(*found.dq, static_cast<int64_t>(given.q.element_count()));
  Expect(*found.dk, static_cast<int64_t>(given.k.element_count()));
  Expect(*found.dv, static_cast<int64_t>(given.v.element_count()));
  const AttentionLoopsOf<Number>& loops = BestAttentionLoops().Of<Number>();
  const int64_t tiles = (s.keys + loops.key_tile - 1) / loops.key_tile;
  const Attention::Cut cut = attention.CutFor(pool, tiles);
  // Every part of a head's keys adds to the gradients of all its queries.
  const int64_t padded = loops.padded(s.size);
  const bool in_place = cut.parts == 1 && padded == s.size;
  std::vector<Scratch> parts(static_cast<size_t>(attention.heads * cut.parts));
  const auto finish = [&](int64_t head) {
    float* const to = dq + head * queries * s.size;
    std::fill_n(to, queries * s.size, 0.f);
    for (int64_t part = head * cut.parts; part < (head + 1) * cut.parts; ++part) {
      const float* const own = Borrowed(parts[part]);
      for (int64_t row = 0; row < queries; ++row)
        for (int64_t j = 0; j < s.size; ++j) to[row * s.size + j] += own[row * padded + j];
      parts[part] = Scratch();
    }
  };
  attention.Share(pool, cut, [&](int64_t head, int64_t part) {
    const Number* const keys = k + head * s.keys * s.size;
    const Number* const values = v + head * s.keys * s.values;
    bool skips =
        s.causal && loops.finite(keys, s.keys * s.size) && loops.finite(values, s.keys * s.values);
    std::vector<QueriesBack<Number>> heads;
    for (int64_t i = head * groups; i < (head + 1) * groups; ++i) {
      const int64_t at = i * s.queries * s.values;
      heads.push_back({q + i * s.queries * s.size, attention.From(i), ys + at, dys + at,
                       lse.typed_data() + i * s.queries});
      const QueriesBack<Number>& last = heads.back();
      skips = skips && loops.finite(last.q, s.queries * s.size) &&
              loops.finite(last.y, s.queries * s.values) &&
              loops.finite(last.dy, s.queries * s.values);
    }
    const Scratch scratch(static_cast<size_t>(loops.back_size(s)) * sizeof(float));
    float* dqs = dq + head * queries * s.size;
    if (!in_place) {
      Scratch& own = parts[head * cut.parts + part];
      own = Scratch(static_cast<size_t>(queries * padded) * sizeof(float));
      dqs = Borrowed(own);
    }
    std::fill_n(dqs, queries * padded, 0.f);
    loops.back(s, heads.data(), groups, keys, values, skips, part, cut.parts,
               found.dk->typed_data() + head * s.keys * s.size,
               found.dv->typed_data() + head * s.keys * s.values, dqs, Borrowed(scratch));
    if (cut.parts == 1 && !in_place) finish(head);
  });
  if (cut.parts > 1) Parallel(pool, attention.heads, finish);
}

ffi::Error Backward(ffi::ThreadPool pool, Some q, Some k, Some v, ffi::AnyBuffer mask, Words key,
                    Floats kept, Some y, Floats lse, Some dy, float factor, bool causal, Result dq,
                    Result dk, Result dv) {
  return Guarded("attention's gradient", [&] {
    const Given given{q, k, v, mask, key, kept, factor, causal};
    const Gradients found{dq, dk, dv};
    WithTypeOf(q, [&](auto number) {
      RunBack<decltype(number)>(pool, given, y, lse, dy, found);
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_attention, Forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<Words>()
                                  .Arg<Floats>()
                                  .Attr<float>("factor")
                                  .Attr<bool>("causal")
                                  .Ret<Floats>()
                                  .Ret<Floats>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_attention_gradient, Backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<Words>()
                                  .Arg<Floats>()
                                  .Arg<Some>()
                                  .Arg<Floats>()
                                  .Arg<Some>()
                                  .Attr<float>("factor")
                                  .Attr<bool>("causal")
                                  .Ret<Floats>()
                                  .Ret<Floats>()
                                  .Ret<Floats>());

}  // namespace singa
