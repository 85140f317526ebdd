// Recurrences over a whole sequence, on the way there and back, as XLA custom calls.
//
// Everything is float32. The sequences of a batch are shared out among XLA's threads, and each
// thread takes its own through all steps: none waits for another before the end.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "images.h"
#include "parallel.h"
#include "recurrence_loops.h"
#include "scratch.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;

using Steps = ffi::Buffer<ffi::F32, 3>;   // (steps, batch, ...)
using Matrix = ffi::Buffer<ffi::F32, 2>;  // weights (hidden, gates * hidden), states (batch, hidden)
using Lengths = ffi::Buffer<ffi::S32, 1>;

// The sizes of a recurrence, from those of its states and weight.
struct Sizes {
  int64_t steps, batch, hidden;
  CellSizes cell;

  Sizes(int64_t number, ffi::Span<const int64_t> h, ffi::Span<const int64_t> weight) {
    Require(number >= 0 && number < kCells, "an unknown cell");
    cell = kCellSizes[number];
    steps = h[0], batch = h[1], hidden = h[2];
    for (int64_t size : {steps, batch, hidden})
      Require(size > 0 && size <= std::numeric_limits<int32_t>::max(), "a size is out of range");
    Require(weight[0] == hidden && weight[1] == cell.gates * hidden,
            "the weight does not fit the states");
  }

  // Throws if a buffer has not `count` numbers.
  template <typename Buffer>
  void Expect(const Buffer& buffer, int64_t count) const {
    Require(static_cast<int64_t>(buffer.element_count()) == count,
            "the shapes do not fit together");
  }
  int64_t OfAllSteps(int64_t wide) const { return steps * batch * wide * hidden; }
  int64_t OfState(int64_t number) const { return cell.states > number ? batch * hidden : 0; }
};

using Packing = void (*)(const float*, int64_t, int64_t, int64_t, float*);

// The weight, packed, block of units by block.
Scratch Packed(ffi::ThreadPool& pool, const Sizes& sizes, Packing pack, const Matrix& weight) {
  const int64_t block = BestRecurrenceLoops().block, wide = sizes.cell.gates * sizes.hidden;
  const int64_t blocks = (sizes.hidden + block - 1) / block;
  Scratch packed(static_cast<size_t>(blocks * block * wide) * sizeof(float));
  const int64_t slices = Slices(pool, blocks, sizes.hidden * wide);
  Parallel(pool, slices, [&](int64_t i) {
    for (int64_t b = blocks * i / slices; b < blocks * (i + 1) / slices; ++b)
      pack(weight.typed_data(), sizes.hidden, sizes.cell.gates, b * block,
           static_cast<float*>(packed.get()) + b * block * wide);
  });
  return packed;
}

// Calls run(begin, end) on slices of the batch, in parallel.
template <typename Walk>
void OverBatch(ffi::ThreadPool& pool, const Sizes& sizes, const Walk& run) {
  const int64_t slices =
      Slices(pool, sizes.batch, sizes.OfAllSteps(sizes.cell.gates) * sizes.hidden / 16);
  Parallel(pool, slices, [&](int64_t i) {
    run(sizes.batch * i / slices, sizes.batch * (i + 1) / slices);
  });
}

ffi::Error Forward(ffi::ThreadPool pool, Steps projected, Matrix weight, Vector bias_ih,
                   Vector bias_hh, Matrix h0, Matrix c0, Lengths lengths, int64_t cell,
                   bool reverse, ffi::Result<Steps> h, ffi::Result<Steps> c,
                   ffi::Result<Steps> kept) {
  return Guarded("recurrence", [&] {
    const Sizes sizes(cell, h->dimensions(), weight.dimensions());
    sizes.Expect(projected, sizes.OfAllSteps(sizes.cell.gates));
    sizes.Expect(bias_ih, sizes.cell.gates * sizes.hidden);
    sizes.Expect(bias_hh, sizes.cell.gates * sizes.hidden);
    sizes.Expect(h0, sizes.OfState(0));
    sizes.Expect(c0, sizes.OfState(1));
    sizes.Expect(lengths, sizes.batch);
    sizes.Expect(*c, sizes.steps * sizes.OfState(1));
    sizes.Expect(*kept, sizes.OfAllSteps(sizes.cell.kept));
    const RecurrenceLoops& loops = BestRecurrenceLoops();
    const Scratch packed = Packed(pool, sizes, loops.pack, weight);
    const Sequence sequence{sizes.steps,
                            sizes.batch,
                            sizes.hidden,
                            reverse,
                            lengths.typed_data(),
                            static_cast<const float*>(packed.get()),
                            projected.typed_data(),
                            bias_ih.typed_data(),
                            bias_hh.typed_data(),
                            h0.typed_data(),
                            c0.typed_data(),
                            h->typed_data(),
                            c->typed_data(),
                            kept->typed_data()};
    OverBatch(pool, sizes, [&](int64_t begin, int64_t end) {
      loops.run[cell](sequence, begin, end);
    });
  });
}

ffi::Error Backward(ffi::ThreadPool pool, Steps dy, Matrix dh_last, Matrix dc_last, Matrix weight,
                    Matrix h0, Matrix c0, Steps h, Steps c, Steps kept, Lengths lengths,
                    int64_t cell, bool reverse, ffi::Result<Steps> da,
                    ffi::Result<Steps> da_hidden, ffi::Result<Matrix> dh, ffi::Result<Matrix> dc) {
  return Guarded("recurrence's gradient", [&] {
    const Sizes sizes(cell, h.dimensions(), weight.dimensions());
    const int64_t sums = sizes.OfAllSteps(sizes.cell.gates);
    const bool sums_differ = da_hidden->element_count() > 0;
    sizes.Expect(dy, sizes.OfAllSteps(1));
    for (const Matrix& state : {dh_last, h0, *dh}) sizes.Expect(state, sizes.OfState(0));
    for (const Matrix& state : {dc_last, c0, *dc}) sizes.Expect(state, sizes.OfState(1));
    sizes.Expect(c, sizes.steps * sizes.OfState(1));
    sizes.Expect(kept, sizes.OfAllSteps(sizes.cell.kept));
    sizes.Expect(lengths, sizes.batch);
    sizes.Expect(*da, sums);
    sizes.Expect(*da_hidden, static_cast<Cell>(cell) == Cell::kGru ? sums : 0);
    const RecurrenceLoops& loops = BestRecurrenceLoops();
    const Scratch packed = Packed(pool, sizes, loops.pack_back, weight);
    std::copy_n(dh_last.typed_data(), sizes.OfState(0), dh->typed_data());
    std::copy_n(dc_last.typed_data(), sizes.OfState(1), dc->typed_data());
    const SequenceGradient gradient{sizes.steps,
                                    sizes.batch,
                                    sizes.hidden,
                                    reverse,
                                    lengths.typed_data(),
                                    static_cast<const float*>(packed.get()),
                                    dy.typed_data(),
                                    h0.typed_data(),
                                    c0.typed_data(),
                                    h.typed_data(),
                                    c.typed_data(),
                                    kept.typed_data(),
                                    da->typed_data(),
                                    sums_differ ? da_hidden->typed_data() : da->typed_data(),
                                    dh->typed_data(),
                                    dc->typed_data()};
    OverBatch(pool, sizes, [&](int64_t begin, int64_t end) {
      loops.run_back[cell](gradient, begin, end);
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_recurrence, Forward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Steps>()
                                  .Arg<Matrix>()
                                  .Arg<Vector>()
                                  .Arg<Vector>()
                                  .Arg<Matrix>()
                                  .Arg<Matrix>()
                                  .Arg<Lengths>()
                                  .Attr<int64_t>("cell")
                                  .Attr<bool>("reverse")
                                  .Ret<Steps>()
                                  .Ret<Steps>()
                                  .Ret<Steps>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_recurrence_gradient, Backward,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Steps>()
                                  .Arg<Matrix>()
                                  .Arg<Matrix>()
                                  .Arg<Matrix>()
                                  .Arg<Matrix>()
                                  .Arg<Matrix>()
                                  .Arg<Steps>()
                                  .Arg<Steps>()
                                  .Arg<Steps>()
                                  .Arg<Lengths>()
                                  .Attr<int64_t>("cell")
                                  .Attr<bool>("reverse")
                                  .Ret<Steps>()
                                  .Ret<Steps>()
                                  .Ret<Matrix>()
                                  .Ret<Matrix>());

}  // namespace singa
