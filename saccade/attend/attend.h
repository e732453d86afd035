#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "saccade/base/precision.h"
#include "saccade/base/team.h"
#include "saccade/base/view.h"
#include "saccade/see/row_probe.h"
#include "saccade/steer/edit.h"
#include "saccade/where/where.h"

namespace saccade {

/// What one call of attention reads and writes.
struct AttendCall {
  View q;                ///< [q_len, n_heads, head_dim]: f32, f16 or bf16
  View k;                ///< [kv_len, n_kv_heads, head_dim]: f32, f16, bf16, q8_0 or q4_0
  View v;                ///< [kv_len, n_kv_heads, head_dim_v]: as k
  MutableView o;         ///< [q_len, n_heads, head_dim_v]
  float* lse = nullptr;  ///< [q_len, n_heads], natural log; may be null

  /// Whom each head looks at: one entry for all heads, or one per query head. Borrowed.
  std::span<const Where* const> where;
  /// The KV head of each query head; empty: head h reads h * n_kv_heads / n_heads.
  std::span<const int> kv_head;
  /// Added to every score after the soft cap; -inf hides a key that `where` would show. Read only where a visit is
  /// partial: where `where` calls a visit full, the bias there must be all zero. May be absent.
  BiasView bias;
  /// Multiplies the bias in each query head (ALiBi); empty: 1. A bias of -inf hides whatever the slope.
  std::span<const float> slopes;
  /// One more score per query head that takes weight but has no value (a learned attention sink); -inf: none for this
  /// head; empty: none at all.
  std::span<const float> sink_scores;
  /// What is edited of each query head (saccade/steer); empty: nothing.
  std::span<const HeadEdit> edits;

  float scale = 0.0F;    ///< multiplies q.k
  float softcap = 0.0F;  ///< c > 0: score becomes c tanh(score / c); 0: none
  Precision precision = Precision::kF32;
  Pos q_begin = 0;  ///< position of the first query, as `where` sees it; the key in slot j has position j
  /// Who is told about each row. They change no bit of o and lse. Borrowed.
  std::span<RowProbe* const> probes;
};

/// What a call did: pairs of one query and one key that were visible under `where`, summed over query heads.
struct AttendCost {
  std::int64_t pairs_visited = 0;
  std::int64_t pairs_i16 = 0;   ///< of those, pairs that ran in 16-bit fixed point
  std::int64_t pairs_bf16 = 0;  ///< and pairs that ran in bf16; the others ran in f32
  /// Of those visited, pairs that were taken by runs (Where::skips).
  std::int64_t pairs_skipped = 0;

  AttendCost& operator+=(const AttendCost& more) {
    pairs_visited += more.pairs_visited;
    pairs_i16 += more.pairs_i16;
    pairs_bf16 += more.pairs_bf16;
    pairs_skipped += more.pairs_skipped;
    return *this;
  }
};

/// Scratch memory that a call needs and the next one can use again; one per caller, not shared between threads.
class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;
  struct Rooms;
  Rooms& rooms() { return *rooms_; }

 private:
  std::unique_ptr<Rooms> rooms_;
};

/// Pairs that dense causal attention would visit: the denominator of a density. Summed over n_heads.
std::int64_t dense_pairs(Pos q_begin, Pos q_len, Pos kv_len, Pos n_heads);

/// Errors: Fault::kMachine, one line, when this CPU cannot run the precision.
void check_precision(Precision precision);

/// May `attend` be called with these types and sizes? False means "decline", never "wrong".
/// head_dim and head_dim_v: multiples of 8 from 32 to 576 (of q8_0 or q4_0 keys or values: multiples of 32).
bool can_attend(DType q, DType k, DType v, Pos head_dim, Pos head_dim_v);

/// Exact softmax attention over the keys that `where` visits: o = softmax(score) v, online, never storing a map.
///   score = softcap(scale q.k) + slope bias;  o = sum exp(score - lse) v
///   lse = log(sum exp(score) + exp(sink score))
/// With edits: score = 0 and no sink score where a head is uniform; then o times the head's gain, lse as it was.
///
/// Shapes    as in AttendCall; q_len and kv_len may be 0 (kv_len == 0 is: no row sees a key)
/// Units     lse in natural log; a row that sees no key has o = 0, lse = its sink score, or -inf
/// Requires  can_attend(...); kv_head entries in range; where.size() is 1 or n_heads; finite slopes
/// Errors    Fault::kUser with one line when a requirement does not hold; Fault::kMachine when memory runs out.
///           NaN and inf stay in the rows that look at them. What a probe refuses.
/// Accuracy  per row at most 2x the error of plain loops in the same precision, plus 4 eps max|v|: eps(f32) = 2^-23,
///           eps(i16) = 2^-12 (kernel/fixed.h says what is rounded), eps(bf16) = 2^-8 (kernel/bf16.h). In bf16 keys are
///           rounded less their centre (attend/centre.h): a key that a row does not see may move how others round
/// Cost      2 (head_dim + head_dim_v) FLOP a visited pair; memory O(workers x (block of queries) x head_dim), never
/// q_len x kv_len;
///           in i16 and bf16 also the visited keys and values in 16 bits, at most 1 GiB: 512 MiB in blocks of 128 keys
///           and as much in blocks of 64, where patterns visit such. Probes: two multiply-adds and an exponential's
///           worth of stores a pair at most, and what they keep
///           Same inputs, team size and CPU target give the same bits.
/// Source    FlashAttention-2, arXiv:2307.08691; split over keys: Flash-Decoding (Dao et al. 2023); ALiBi,
///           arXiv:2108.12409
AttendCost attend(const AttendCall& call, Team& team, Workspace& workspace);

}  // namespace saccade
