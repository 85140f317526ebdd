// Compiled several times, as loops.cc is; see there.
//
// A step multiplies the state before it, (rows, depth), with the packed weight, block of units by
// block, a few rows at a time: all gates' sums of these units and rows are in registers then, and
// so the cell is computed at once. The way back is the same with the gradients of the sums in place
// of the state, and the transposed weight. Rows never wait for each other.

#include "recurrence_loops.h"
#include "vectors.h"

#include <initializer_list>

namespace singa {
namespace {

// Sums that are in registers at the same time, of the 32 of AVX-512 or the 16 of the others.
constexpr int kSums = SINGA_VECTOR_BYTES == 64 ? 24 : 12;

// tanh(x) = e / (e + 2) with e = exp(2 |x|) - 1, and the sign of x: small numbers keep all their
// digits. Within 3 units in the last place.
inline __attribute__((always_inline)) Floats Tanh(Floats x) {
  const Ints sign = reinterpret_cast<Ints>(x) & INT32_MIN;
  Floats y = reinterpret_cast<Floats>(reinterpret_cast<Ints>(x) ^ sign);
  y = y > 10.f ? Floats{} + 10.f : y;  // where it is 1 in float32; a NaN stays one
  y = y + y;
  Floats less, power;
  SplitExp(y, less, power);
  const Floats e = less * power + (power - 1.f);
  const Floats t = e / (e + 2.f);
  return reinterpret_cast<Floats>(reinterpret_cast<Ints>(t) | sign);
}

// `size` numbers of a row that begin with unit u, or all of a register where there are as many.
template <bool whole>
struct Lanes {
  int64_t size;

  Floats Read(const float* from) const {
    Floats block;
    Load(block, from, whole ? kBlock : size);
    return block;
  }
  void Write(const Floats& block, float* to) const { Store(block, to, whole ? kBlock : size); }
};

// Where things are: the steps in order, and a step's row of the batch.
template <typename Given>
struct Pass {
  const Given p;  // a copy: what is written through pointers cannot change it
  const bool backwards;

  Pass(const Given& given, bool backwards) : p(given), backwards(backwards) {}

  int64_t Step(int64_t i) const { return backwards ? p.steps - 1 - i : i; }
  // The first unit of a row of step i, of something with `wide` * hidden columns.
  int64_t At(int64_t i, int64_t row, int64_t wide = 1) const {
    return (Step(i) * p.batch + row) * wide * p.hidden;
  }
  bool Valid(int64_t i, int64_t row) const { return Step(i) < p.lengths[row]; }
};

// What the cells share on the way there. Finish() computes step i of `rows` rows and a block of
// units, from u on, from what their state gave to the gates' sums. It goes through all rows once
// for each function in turn: the processor computes several at the same time then.
struct Forward : Pass<Sequence> {
  explicit Forward(const Sequence& p) : Pass(p, p.reverse) {}

  int64_t Rounds() const { return p.steps; }
  // The first factor of step i's product, and its number of columns.
  const float* Factor(int64_t i) const { return i == 0 ? p.h0 : p.h + At(i - 1, 0); }
  int64_t Depth(int64_t) const { return p.hidden; }

  // The place in the states `first` or `all` where what step i began with is.
  const float* Before(const float* first, const float* all, int64_t i, int64_t row) const {
    return i == 0 ? first + row * p.hidden : all + At(i - 1, row);
  }
};

struct Lstm : Forward {
  using Forward::Forward;
  static constexpr int kParts = 4;

  template <typename L>
  __attribute__((noinline)) void Finish(L lanes, int64_t i, int64_t first, int64_t rows, int64_t u, Floats* sums) const {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = At(i, first + r, 4) + u;
#pragma GCC unroll 4
      for (int64_t gate = 0; gate < 4; ++gate) {
        const int64_t column = gate * p.hidden;
        Floats& t = sums[4 * r + gate];
        t += lanes.Read(p.projected + at + column) + lanes.Read(p.bias_ih + column + u) +
             lanes.Read(p.bias_hh + column + u);
        t = Tanh(gate == 2 ? t : 0.5f * t);
        lanes.Write(t, p.kept + at + column);
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = first + r, at = At(i, row) + u;
      const Floats* t = sums + 4 * r;
      // sigmoid(a) = (1 + tanh(a / 2)) / 2
      const Floats in = 0.5f * t[0] + 0.5f, forget = 0.5f * t[1] + 0.5f, out = 0.5f * t[3] + 0.5f;
      const Floats before = lanes.Read(Before(p.c0, p.c, i, row) + u);
      Floats c = forget * before + in * t[2];
      Floats h = out * Tanh(c);
      if (!Valid(i, row)) c = before, h = lanes.Read(Before(p.h0, p.h, i, row) + u);
      lanes.Write(c, p.c + at);
      lanes.Write(h, p.h + at);
    }
  }
};

struct Gru : Forward {
  using Forward::Forward;
  static constexpr int kParts = 3;

  template <typename L>
  __attribute__((noinline)) void Finish(L lanes, int64_t i, int64_t first, int64_t rows, int64_t u, Floats* sums) const {
    for (int64_t r = 0; r < rows; ++r) {
      const float* input = p.projected + At(i, first + r, 3) + u;
      float* kept = p.kept + At(i, first + r, 4) + u;
#pragma GCC unroll 3
      for (int64_t gate = 0; gate < 3; ++gate) {
        const int64_t column = gate * p.hidden;
        Floats& sum = sums[3 * r + gate];
        sum += lanes.Read(p.bias_hh + column + u);
        if (gate < 2) {
          sum += lanes.Read(input + column) + lanes.Read(p.bias_ih + column + u);
          sum = 0.5f * Tanh(0.5f * sum) + 0.5f;
        }
        lanes.Write(sum, kept + (gate < 2 ? gate : 3) * p.hidden);
      }
    }
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = first + r, column = 2 * p.hidden;
      const Floats reset = sums[3 * r], z = sums[3 * r + 1], state = sums[3 * r + 2];
      const Floats input = lanes.Read(p.projected + At(i, row, 3) + column + u) +
                           lanes.Read(p.bias_ih + column + u);
      const Floats n = Tanh(input + reset * state);
      lanes.Write(n, p.kept + At(i, row, 4) + column + u);
      const Floats before = lanes.Read(Before(p.h0, p.h, i, row) + u);
      lanes.Write(Valid(i, row) ? n + z * (before - n) : before, p.h + At(i, row) + u);
    }
  }
};

template <bool relu>
struct Elman : Forward {
  using Forward::Forward;
  static constexpr int kParts = 1;

  template <typename L>
  __attribute__((noinline)) void Finish(L lanes, int64_t i, int64_t first, int64_t rows, int64_t u, Floats* sums) const {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = first + r, at = At(i, row) + u;
      const Floats sum = sums[r] + lanes.Read(p.projected + at) + lanes.Read(p.bias_ih + u) +
                         lanes.Read(p.bias_hh + u);
      Floats h = relu ? (sum < 0.f ? Floats{} : sum) : Tanh(sum);
      if (!Valid(i, row)) h = lanes.Read(Before(p.h0, p.h, i, row) + u);
      lanes.Write(h, p.h + at);
    }
  }
};

// What they share on the way back. A round begins with the product of the round before: it is what
// the state's gradient got through the gates. What it got directly is in dh already. The last
// round has nothing but that product.
template <typename Cell, int kGates>
struct Backward : Pass<SequenceGradient> {
  explicit Backward(const SequenceGradient& p) : Pass(p, !p.reverse) {}

  static constexpr int kParts = 1;

  int64_t Rounds() const { return p.steps + 1; }
  const float* Factor(int64_t i) const { return i == 0 ? p.dh : p.da_hidden + At(i - 1, 0, kGates); }
  int64_t Depth(int64_t i) const { return i == 0 ? 0 : kGates * p.hidden; }

  const float* Before(const float* first, const float* all, int64_t i, int64_t row) const {
    return i == p.steps - 1 ? first + row * p.hidden : all + At(i + 1, row);
  }

  template <typename L>
  __attribute__((noinline)) void Finish(L lanes, int64_t i, int64_t first, int64_t rows, int64_t u, Floats* sums) const {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = first + r;
      float* const place = p.dh + row * p.hidden + u;
      Floats dh = sums[r] + lanes.Read(place);
      if (i < p.steps && Valid(i, row)) {
        // What the state before gets directly; and, on the way, the gradients of the gates' sums.
        dh = static_cast<const Cell*>(this)->Through(lanes, i, row, u,
                                                     dh + lanes.Read(p.dy + At(i, row) + u));
      } else if (i < p.steps) {
        for (int64_t gate = 0; gate < kGates; ++gate)
          for (float* da : {p.da, p.da_hidden})
            lanes.Write(Floats{}, da + At(i, row, kGates) + gate * p.hidden + u);
      }
      lanes.Write(dh, place);
    }
  }
};

struct LstmBack : Backward<LstmBack, 4> {
  using Backward::Backward;

  template <typename L>
  Floats Through(L lanes, int64_t i, int64_t row, int64_t u, Floats dh) const {
    const int64_t hidden = p.hidden, at = At(i, row, 4) + u;
    const float* t = p.kept + at;
    const Floats in = 0.5f * lanes.Read(t) + 0.5f, forget = 0.5f * lanes.Read(t + hidden) + 0.5f;
    const Floats g = lanes.Read(t + 2 * hidden), out = 0.5f * lanes.Read(t + 3 * hidden) + 0.5f;
    const Floats tanh_c = Tanh(lanes.Read(p.c + At(i, row) + u));
    const Floats before = lanes.Read(Before(p.c0, p.c, i, row) + u);
    float* const place = p.dc + row * hidden + u;
    const Floats dc = lanes.Read(place) + dh * out * (1.f - tanh_c * tanh_c);
    lanes.Write(dc * g * in * (1.f - in), p.da + at);
    lanes.Write(dc * before * forget * (1.f - forget), p.da + at + hidden);
    lanes.Write(dc * in * (1.f - g * g), p.da + at + 2 * hidden);
    lanes.Write(dh * tanh_c * out * (1.f - out), p.da + at + 3 * hidden);
    lanes.Write(dc * forget, place);
    return Floats{};
  }
};

struct GruBack : Backward<GruBack, 3> {
  using Backward::Backward;

  template <typename L>
  Floats Through(L lanes, int64_t i, int64_t row, int64_t u, Floats dh) const {
    const int64_t hidden = p.hidden, at = At(i, row, 3) + u;
    const float* kept = p.kept + At(i, row, 4) + u;
    const Floats r = lanes.Read(kept), z = lanes.Read(kept + hidden);
    const Floats n = lanes.Read(kept + 2 * hidden), state = lanes.Read(kept + 3 * hidden);
    const Floats before = lanes.Read(Before(p.h0, p.h, i, row) + u);
    const Floats dn = dh * (1.f - z) * (1.f - n * n), dr = dn * state * r * (1.f - r);
    const Floats dz = dh * (before - n) * z * (1.f - z);
    for (float* da : {p.da, p.da_hidden}) {
      lanes.Write(dr, da + at);
      lanes.Write(dz, da + at + hidden);
    }
    lanes.Write(dn, p.da + at + 2 * hidden);
    lanes.Write(dn * r, p.da_hidden + at + 2 * hidden);
    return dh * z;
  }
};

template <bool relu>
struct ElmanBack : Backward<ElmanBack<relu>, 1> {
  using Backward<ElmanBack<relu>, 1>::Backward;

  template <typename L>
  Floats Through(L lanes, int64_t i, int64_t row, int64_t u, Floats dh) const {
    const int64_t at = this->At(i, row) + u;
    const Floats h = lanes.Read(this->p.h + at);
    lanes.Write(relu ? (h > 0.f ? dh : Floats{}) : dh * (1.f - h * h), this->p.da + at);
    return Floats{};
  }
};

// sums[r][part] = the product of row r and part `part` of the packed weight.
template <int rows, int parts>
inline void Multiply(const float* factor, const float* packed, int64_t depth,
                     Floats (&products)[rows][parts]) {
  // All indices are constants once the loops are unrolled: the sums stay in registers.
  Floats sums[rows][parts] = {};
  for (int64_t k = 0; k < depth; ++k, packed += parts * kBlock) {
    Floats weight[parts];
#pragma GCC unroll 4
    for (int part = 0; part < parts; ++part) Load(weight[part], packed + part * kBlock, kBlock);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const float state = factor[r * depth + k];
#pragma GCC unroll 4
      for (int part = 0; part < parts; ++part) sums[r][part] += state * weight[part];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int part = 0; part < parts; ++part) products[r][part] = sums[r][part];
}

// One round's work on a block of units.
template <int rows, typename Pass>
inline void Compute(const Pass& pass, int64_t i, int64_t row, int64_t u) {
  constexpr int parts = Pass::kParts;
  const int64_t depth = pass.Depth(i), size = Smaller(kBlock, pass.p.hidden - u);
  Floats sums[rows][parts];
  Multiply<rows, parts>(pass.Factor(i) + row * depth, pass.p.weight + u * parts * depth, depth,
                        sums);
  if (size == kBlock)
    pass.Finish(Lanes<true>{size}, i, row, rows, u, sums[0]);
  else
    pass.Finish(Lanes<false>{size}, i, row, rows, u, sums[0]);
}

// The same for a number of rows that the compiler does not know.
template <int most, typename Pass>
inline void ComputeRows(const Pass& pass, int64_t rows, int64_t i, int64_t row, int64_t u) {
  if constexpr (most > 0) {
    if (rows == most)
      Compute<most>(pass, i, row, u);
    else
      ComputeRows<most - 1>(pass, rows, i, row, u);
  }
}

template <typename Pass, typename Given>
void Run(const Given& given, int64_t begin, int64_t end) {
  const Pass pass(given);
  constexpr int most = kSums / Pass::kParts < 12 ? kSums / Pass::kParts : 12;
  const int64_t rows = end - begin, groups = (rows + most - 1) / most;
  for (int64_t i = 0; i < pass.Rounds(); ++i)
    for (int64_t u = 0; u < pass.p.hidden; u += kBlock)
      for (int64_t group = 0; group < groups; ++group) {
        const int64_t first = rows * group / groups, last = rows * (group + 1) / groups;
        ComputeRows<most>(pass, last - first, i, begin + first, u);
      }
}

void Pack(const float* weight, int64_t hidden, int64_t gates, int64_t unit, float* packed) {
  const Lanes<false> lanes{Smaller(kBlock, hidden - unit)};
  for (int64_t k = 0; k < hidden; ++k)
    for (int64_t gate = 0; gate < gates; ++gate, packed += kBlock)
      Store(lanes.Read(weight + (k * gates + gate) * hidden + unit), packed, kBlock);
}

void PackBack(const float* weight, int64_t hidden, int64_t gates, int64_t unit, float* packed) {
  const int64_t size = Smaller(kBlock, hidden - unit), depth = gates * hidden;
  for (int64_t k = 0; k < depth; ++k, packed += kBlock)
    for (int64_t lane = 0; lane < kBlock; ++lane)
      packed[lane] = lane < size ? weight[(unit + lane) * depth + k] : 0.f;
}

}  // namespace

extern const RecurrenceLoops SINGA_RECURRENCE_LOOPS;
const RecurrenceLoops SINGA_RECURRENCE_LOOPS = {
    kBlock,
    Pack,
    PackBack,
    {Run<Elman<false>, Sequence>, Run<Elman<true>, Sequence>, Run<Gru, Sequence>,
     Run<Lstm, Sequence>},
    {Run<ElmanBack<false>, SequenceGradient>, Run<ElmanBack<true>, SequenceGradient>,
     Run<GruBack, SequenceGradient>, Run<LstmBack, SequenceGradient>}};

}  // namespace singa
