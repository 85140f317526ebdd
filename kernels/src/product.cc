// Products of matrices, and of batches of them, by oneDNN, as an XLA custom call.
//
// y = a b for each matrix of a batch: a is (..., M, K), b (..., K, N), y (..., M, N), all float32;
// a or b may be given transposed. Whole matrices, or slices of the result's rows or columns, are
// shared out among XLA's threads, each of which runs oneDNN on its part, sequentially.

#include <dnnl.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "images.h"
#include "parallel.h"

namespace singa {
namespace {

namespace ffi = xla::ffi;
using Matrices = ffi::Buffer<ffi::F32>;

struct Shape {
  int64_t batch = 1, rows, columns;

  Shape(Matrices::Dimensions dimensions, bool transposed) {
    const size_t rank = dimensions.size();
    Require(rank >= 2, "a matrix has two axes");
    for (size_t i = 0; i + 2 < rank; ++i) batch *= dimensions[i];
    rows = dimensions[rank - 2];
    columns = dimensions[rank - 1];
    if (transposed) std::swap(rows, columns);
  }
};

// How one product is cut: into slices of `step` rows of the result, or of so many columns.
struct Cut {
  bool by_rows;
  int64_t step, count;

  Cut(int64_t rows, int64_t columns, int64_t wanted) : by_rows(rows >= columns) {
    constexpr int64_t kVector = 16;  // a slice is made of whole vectors, but for the last
    const int64_t size = by_rows ? rows : columns;
    step = (size + wanted - 1) / wanted;
    step = (step + kVector - 1) / kVector * kVector;
    count = (size + step - 1) / step;
  }
};

ffi::Error Product(ffi::ThreadPool pool, Matrices a, Matrices b, bool transpose_a,
                   bool transpose_b, ffi::Result<Matrices> y) {
  return Guarded("product", [&] {
    const Shape left(a.dimensions(), transpose_a), right(b.dimensions(), transpose_b),
        result(y->dimensions(), false);
    Require(left.columns == right.rows, "the matrices do not fit together");
    Require(result.rows == left.rows && result.columns == right.columns,
            "the result is of another size");
    Require(left.batch == right.batch && left.batch == result.batch, "the batches differ");
    const int64_t m = result.rows, n = result.columns, k = left.columns;
    const int64_t work = result.batch * m * n * k;
    if (work == 0) {
      std::fill_n(y->typed_data(), y->element_count(), 0.f);
      return;
    }
    constexpr int64_t kMultipliedInOneElementsTime = 24;
    // More slices than threads: a thread that has to be woken up comes late.
    const int64_t slices = Slices(pool, work, work / kMultipliedInOneElementsTime);
    const int64_t wanted = slices > 1 ? 2 * slices : 1;
    const Cut cut(m, n, std::max<int64_t>(1, wanted / result.batch));
    const int64_t tasks = result.batch * cut.count;
    const int64_t together = std::max<int64_t>(1, tasks / wanted);
    const auto run = [&](int64_t task) {
      const int64_t batch = task / cut.count, first = task % cut.count * cut.step;
      const int64_t rows = cut.by_rows ? std::min(cut.step, m - first) : m;
      const int64_t columns = cut.by_rows ? n : std::min(cut.step, n - first);
      const int64_t row = cut.by_rows ? first : 0, column = cut.by_rows ? 0 : first;
      const int64_t lda = transpose_a ? m : k, ldb = transpose_b ? k : n;
      const float* from_a = a.typed_data() + batch * m * k + (transpose_a ? row : row * k);
      const float* from_b = b.typed_data() + batch * k * n + (transpose_b ? column * k : column);
      float* to = y->typed_data() + batch * m * n + row * n + column;
      const dnnl_status_t status =
          dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', rows, columns, k, 1.f,
                     from_a, lda, from_b, ldb, 0.f, to, n);
      if (status != dnnl_success) throw std::runtime_error("oneDNN has refused it");
    };
    Parallel(pool, (tasks + together - 1) / together, [&](int64_t part) {
      const OneThread one_thread;
      const int64_t end = std::min(tasks, (part + 1) * together);
      for (int64_t task = part * together; task < end; ++task) run(task);
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(singa_product, Product,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Matrices>()
                                  .Arg<Matrices>()
                                  .Attr<bool>("transpose_a")
                                  .Attr<bool>("transpose_b")
                                  .Ret<Matrices>());

}  // namespace singa
