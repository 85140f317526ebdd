// The loops over a sequence's steps, compiled once for each of several instruction sets, as those
// in loops.h are.
#pragma once

#include <cstdint>

namespace singa {

// The recurrences, by their number in singa/engine/native/recurrence.py.
enum class Cell : int64_t { kTanh, kRelu, kGru, kLstm };
constexpr int64_t kCells = 4;

// What a cell has: gates, states, and numbers kept for the way back; for each of its units.
struct CellSizes {
  int64_t gates, states, kept;
};
constexpr CellSizes kCellSizes[kCells] = {{1, 1, 0}, {1, 1, 0}, {3, 1, 4}, {4, 2, 4}};

// One recurrence over a batch of sequences, in one direction. States are (batch, hidden), and those
// of all steps (steps, batch, hidden); sums are the same with gates * hidden for hidden, and what
// is kept with kept * hidden. Steps from a sequence's length on leave its states as they are.
struct Sequence {
  int64_t steps, batch, hidden;
  bool reverse;  // the last step comes first
  const int32_t* lengths;
  const float* weight;  // packed

  // Sums of the gates without the state's part, and what is added to that and to the state's part.
  const float *projected, *bias_ih, *bias_hh;
  const float *h0, *c0;
  float *h, *c, *kept;
};

// The same on the way back. dh and dc begin as the gradients of the last states, hold those of the
// present step's meanwhile, and end as those of the first states.
struct SequenceGradient {
  int64_t steps, batch, hidden;
  bool reverse;  // as on the way there
  const int32_t* lengths;
  const float* weight;  // packed for the way back

  const float *dy, *h0, *c0, *h, *c, *kept;
  float *da, *da_hidden;  // of the sums: the input's part and, if it differs, the state's part
  float *dh, *dc;
};

struct RecurrenceLoops {
  int64_t block;  // units that are computed at the same time

  // The weight (hidden, gates * hidden) of a block of units, in the order in which the way there or
  // back reads it: gates * hidden * block numbers, with zeros for units that are not there.
  void (*pack)(const float* weight, int64_t hidden, int64_t gates, int64_t first_unit,
               float* packed);
  void (*pack_back)(const float* weight, int64_t hidden, int64_t gates, int64_t first_unit,
                    float* packed);

  // All steps of the sequences [begin, end) of the batch, by cell.
  void (*run[kCells])(const Sequence&, int64_t begin, int64_t end);
  void (*run_back[kCells])(const SequenceGradient&, int64_t begin, int64_t end);
};

// For the processor that this runs on.
const RecurrenceLoops& BestRecurrenceLoops();

}  // namespace singa
