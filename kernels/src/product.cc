// Products of matrices, and of batches of them, by oneDNN or by own loops, as an XLA custom call.
//
// y = a b for each matrix of a batch: a is (..., M, K), b (..., K, N), y (..., M, N). All are float32;
// or a and b are bfloat16, y either, and the sums float32. a or b may be given transposed. Products
// of float32 may have a bias, (N,) or (..., N), which is added to each row. Whole matrices, or slices
// of the result's rows or columns, are shared out among XLA's threads, each of which computes its part
// alone.

#include <dnnl.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "factors.h"
#include "images.h"
#include "onednn.h"
#include "parallel.h"
#include "product_loops.h"
#include "scratch.h"
#include "short_product.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;
using dnnl::memory;

struct Shape {
  int64_t batch = 1, rows, columns;

  Shape(Some::Dimensions dimensions, bool transposed) {
    const size_t rank = dimensions.size();
    Require(rank >= 2, "a matrix has two axes");
    for (size_t i = 0; i + 2 < rank; ++i) batch *= dimensions[i];
    rows = dimensions[rank - 2];
    columns = dimensions[rank - 1];
    if (transposed) std::swap(rows, columns);
  }
};

constexpr int64_t kVector = 16;  // floats in a cache line, and in the largest register

// Whether the numbers of a column are in few sets of the first cache, which push each other out: the
// rows are a multiple of half a page apart. oneDNN reads small factors where they are, column after column,
// at half the speed then; a copy with other steps takes a fraction of that time.
bool Collides(int64_t step) { return step % 512 == 0; }

constexpr int64_t kMostCopied = 512 * 1024;  // floats, which stay in the second or third cache

// How one product is cut: into slices of `step` rows of the result, or of so many columns.
struct Cut {
  bool by_rows;
  int64_t step, count;

  // What a slice reads of the factor that is cut has `depth` numbers a row; if it is copied, the slice
  // is small enough for that.
  Cut(int64_t rows, int64_t columns, int64_t depth, int64_t wanted, bool copies_a, bool copies_b)
      : by_rows(rows >= columns) {
    const int64_t size = by_rows ? rows : columns;
    if (by_rows ? copies_a : copies_b)
      wanted = std::max(wanted, std::min(size * depth / kMostCopied, size / (4 * kVector)));
    step = (size + wanted - 1) / wanted;
    step = (step + kVector - 1) / kVector * kVector;
    count = (size + step - 1) / step;
  }
};

// The rows of a factor, copied so that their columns do not collide; as they are, if they do not, or if
// there are too many of them.
class Rows {
 public:
  Rows(const float* from, int64_t rows, int64_t columns, int64_t step, bool copies)
      : from_(from), step_(step) {
    const int64_t apart = (columns + kVector - 1) / kVector | 1;  // in cache lines: an odd number
    if (!copies || rows * columns > 2 * kMostCopied) return;
    step_ = apart * kVector;
    own_ = Scratch(static_cast<size_t>(rows * step_) * sizeof *from);
    auto* to = static_cast<float*>(own_.get());
    for (int64_t row = 0; row < rows; ++row)
      std::memcpy(to + row * step_, from + row * step, static_cast<size_t>(columns) * sizeof *from);
    from_ = to;
  }
  const float* data() const { return from_; }
  int64_t step() const { return step_; }

 private:
  const float* from_;
  int64_t step_;
  Scratch own_;
};

// The own loops, if a product that is cut into so many slices is worth packing its factors for them;
// null, if oneDNN is as fast. oneDNN is faster until the sums are long, and packing costs more than it
// saves for small slices.
const ProductLoops* LoopsFor(int64_t m, int64_t n, int64_t k, int64_t slices) {
  constexpr int64_t kSide = 64, kLong = 768, kSlice = 8192;
  const bool pays = std::min(m, n) >= kSide && k >= kLong && m * n >= kSlice * slices;
  return pays ? BestProductLoops() : nullptr;
}

// oneDNN's product is added to the bias, which is written first: oneDNN reads y while it writes it anyway.
void Multiply(const ProductLoops* loops, const Factors& f, const float* a, const float* b,
              const float* bias, void* to) {
  auto* y = static_cast<float*>(to);
  if (loops != nullptr) {
    const Scratch memory(static_cast<size_t>(loops->memory(f)) * sizeof *y);
    return loops->multiply(f, a, b, bias, y, static_cast<float*>(memory.get()));
  }
  for (int64_t row = 0; bias != nullptr && row < f.m; ++row)
    std::memcpy(y + row * f.step_y, bias, static_cast<size_t>(f.n) * sizeof *bias);
  const Rows left(a, f.k, f.m, f.step_a, f.transpose_a && Collides(f.step_a));
  const Rows right(b, f.k, f.n, f.step_b, !f.transpose_b && Collides(f.step_b));
  const dnnl_status_t status =
      dnnl_sgemm(f.transpose_a ? 'T' : 'N', f.transpose_b ? 'T' : 'N', f.m, f.n, f.k, 1.f,
                 left.data(), left.step(), right.data(), right.step(),
                 bias == nullptr ? 0.f : 1.f, y, f.step_y);
  if (status != dnnl_success) throw std::runtime_error("oneDNN has refused it");
}

class ShortProduct {
 public:
  explicit ShortProduct(const Factors& f)
      : a_(Matrix(f.m, f.k, f.step_a, f.transpose_a)),
        b_(Matrix(f.k, f.n, f.step_b, f.transpose_b)),
        y_(Matrix(f.m, f.n, f.step_y, false, f.is_wide)) {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc description(Engine(), a_, b_, y_, attributes);
    scratchpad_ = description.scratchpad_desc();
    primitive_ = dnnl::matmul(description);
  }

  void Run(const Bfloat16* a, const Bfloat16* b, void* y) const {
    const auto at = [](const memory::desc& what, const void* where) {
      return memory(what, Engine(), const_cast<void*>(where));
    };
    const Scratch own(scratchpad_.get_size());
    primitive_.execute(Stream(), {{DNNL_ARG_SRC, at(a_, a)},
                                  {DNNL_ARG_WEIGHTS, at(b_, b)},
                                  {DNNL_ARG_DST, at(y_, y)},
                                  {DNNL_ARG_SCRATCHPAD,
                                   memory(scratchpad_, Engine(), own.get())}});
  }

 private:
  static memory::desc Matrix(int64_t rows, int64_t columns, int64_t step, bool transposed,
                             bool is_wide = false) {
    const memory::dims size{rows, columns}, steps{transposed ? 1 : step, transposed ? step : 1};
    return memory::desc(size, is_wide ? memory::data_type::f32 : memory::data_type::bf16, steps);
  }

  memory::desc a_, b_, y_, scratchpad_;
  dnnl::matmul primitive_;
};

void Multiply(const ProductLoops*, const Factors& f, const Bfloat16* a, const Bfloat16* b,
              const float*, void* y) {
  MultiplyShort(f, a, b, y);
}

// None, or one: a number for each column, for all of the batch or for each of its matrices.
using Biases = ffi::RemainingArgs;

struct Bias {
  const float* numbers = nullptr;
  int64_t step = 0;  // from one matrix' bias to the next one's

  Bias(const Biases& given, const Some& a, const Shape& y) {
    if (given.size() == 0) return;
    const auto bias = given.get<Some>(0);
    Require(given.size() == 1 && bias.has_value(), "there is more than one bias");
    Require(!IsShort(a), "products of short types have no bias");
    const int64_t size = static_cast<int64_t>(bias->element_count());
    Require(size == y.columns || size == y.batch * y.columns, "the bias is of another size");
    numbers = Data<float>(*bias);
    step = size == y.columns ? 0 : y.columns;
  }
  const float* At(int64_t matrix, int64_t column) const {
    return numbers == nullptr ? nullptr : numbers + matrix * step + column;
  }
};

template <typename Number>
void Multiply(ffi::ThreadPool& pool, const Some& all_a, const Some& all_b, bool transpose_a,
              bool transpose_b, const Biases& biases, const Some& all_y) {
  const auto *a = Data<Number>(all_a), *b = Data<Number>(all_b);
  const bool is_wide = !IsShort(all_y);
  Require(is_wide || IsShort(all_a), "the result is of a shorter type");
  const Shape left(all_a.dimensions(), transpose_a), right(all_b.dimensions(), transpose_b),
      result(all_y.dimensions(), false);
  Require(left.columns == right.rows, "the matrices do not fit together");
  Require(result.rows == left.rows && result.columns == right.columns,
          "the result is of another size");
  Require(left.batch == right.batch && left.batch == result.batch, "the batches differ");
  const int64_t m = result.rows, n = result.columns, k = left.columns;
  const int64_t work = result.batch * m * n * k;
  const Bias bias(biases, all_a, result);
  if (work == 0) {
    Require(bias.numbers == nullptr, "a bias needs matrices that are not empty");
    std::memset(all_y.untyped_data(), 0, all_y.size_bytes());
    return;
  }
  constexpr int64_t kMultipliedInOneElementsTime = sizeof(Number) == sizeof(float) ? 24 : 96;
  // More slices than threads: a thread that has to be woken up comes late.
  const int64_t slices = Slices(pool, work, work / kMultipliedInOneElementsTime);
  const int64_t wanted = slices > 1 ? 2 * slices : 1;
  const int64_t cuts = std::max<int64_t>(1, wanted / result.batch);
  const ProductLoops* const loops = LoopsFor(m, n, k, cuts);
  const bool copies = sizeof(Number) == sizeof(float) && loops == nullptr;
  const Cut cut(m, n, k, cuts, copies && transpose_a && Collides(m),
                copies && !transpose_b && Collides(n));
  const int64_t tasks = result.batch * cut.count;
  const int64_t together = std::max<int64_t>(1, tasks / wanted);
  const auto run = [&](int64_t task) {
    const int64_t batch = task / cut.count, first = task % cut.count * cut.step;
    const int64_t row = cut.by_rows ? first : 0, column = cut.by_rows ? 0 : first;
    const Factors factors{cut.by_rows ? std::min(cut.step, m - first) : m,
                          cut.by_rows ? n : std::min(cut.step, n - first),
                          k,
                          transpose_a,
                          transpose_b,
                          transpose_a ? m : k,
                          transpose_b ? k : n,
                          n,
                          is_wide};
    Multiply(loops, factors, a + batch * m * k + (transpose_a ? row : row * k),
             b + batch * k * n + (transpose_b ? column * k : column),
             bias.At(batch, column),
             Place(all_y, batch * m * n + row * n + column));
  };
  Parallel(pool, (tasks + together - 1) / together, [&](int64_t part) {
    const OneThread one_thread;
    const int64_t end = std::min(tasks, (part + 1) * together);
    for (int64_t task = part * together; task < end; ++task) run(task);
  });
}

ffi::Error Product(ffi::ThreadPool pool, Some a, Some b, Biases biases, bool transpose_a,
                   bool transpose_b, ffi::Result<Some> y) {
  return Guarded("product", [&] {
    WithTypeOf(a, [&](auto number) {
      Multiply<decltype(number)>(pool, a, b, transpose_a, transpose_b, biases, *y);
    });
  });
}

}  // namespace

void MultiplyShort(const Factors& factors, const Bfloat16* a, const Bfloat16* b, void* y) {
  Cached<ShortProduct>(factors)->Run(a, b, y);
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_product, Product,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Some>()
                                  .Arg<Some>()
                                  .RemainingArgs()
                                  .Attr<bool>("transpose_a")
                                  .Attr<bool>("transpose_b")
                                  .Ret<Some>());

}  // namespace singa
