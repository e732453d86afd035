#include "python/src/call.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "saccade/base/error.h"

namespace saccade::python {
namespace {

std::vector<float> numbers(nanobind::handle object, const std::string& name) {
  return object.is_none() ? std::vector<float>{} : read_floats(object, name);
}

/// The view without its first n rows.
template <class V>
V without_rows(V view, Pos n) {
  if (n == 0) return view;
  view.data = reinterpret_cast<decltype(view.data)>(
      const_cast<std::byte*>(reinterpret_cast<const std::byte*>(view.data) + n * view.len_stride));
  view.len -= n;
  return view;
}

/// Only one head of the view.
template <class V>
V one_head(V view, Pos head) {
  view.data = reinterpret_cast<decltype(view.data)>(
      const_cast<std::byte*>(reinterpret_cast<const std::byte*>(view.data) + head * view.head_stride));
  view.n_heads = 1;
  return view;
}

}  // namespace

Call::Call(const std::string& place, const Given& given)
    : batch(place, given.batch),
      attn(read_attn(given.attn)),
      causal_(given.causal),
      scale_(scale_or_default(given.scale, batch.head_dim())),
      softcap_(read_weigh(given.weigh, given.layer)),
      precision_(parse_precision(given.precision)),
      q_begin_(given.q_begin),
      layer_(given.layer),
      slopes_(numbers(given.slopes, place + "slopes")),
      sink_scores_(numbers(given.sink_scores, place + "sink_scores")) {
  if (!given.mask.is_none()) mask_.emplace(given.mask, place + "mask");
  if (attn.patterns != nullptr) {
    for (const auto& of_heads : attn.patterns->of_sequence) {
      auto& borrowed = patterns_.emplace_back();
      for (const WherePtr& where : of_heads) borrowed.push_back(where.get());
    }
  }
  check_given(place);
}

void Call::check_given(const std::string& place) const {
  if (q_begin_ && *q_begin_ < 0) fail_user(place + "q_begin must be >= 0, got " + std::to_string(*q_begin_));
  if (!slopes_.empty() && !mask_) fail_user(place + "slopes multiply a mask, and there is none");
  if (mask_ && batch.packed()) fail_user(place + "a mask needs sequences of one length, not cu_seqlens");
  if (mask_ && batch.size() > 0) mask_->check(batch.size(), batch.n_heads(), batch.q(0).len, batch.room());
  const Pos n_heads = batch.n_heads(), n_kv_heads = batch.n_kv_heads();
  if (n_kv_heads < 1 || n_heads % n_kv_heads != 0) {
    fail_user(place + "q's heads must be a multiple of k's, got " + std::to_string(n_heads) + " and " +
              std::to_string(n_kv_heads));
  }
  for (const auto& [name, numbers] : {std::pair("slopes", &slopes_), std::pair("sink_scores", &sink_scores_)}) {
    if (numbers->empty() || static_cast<Pos>(numbers->size()) == n_heads) continue;
    fail_user(place + name + " must have one entry per query head (" + std::to_string(n_heads) + "), got " +
              std::to_string(numbers->size()));
  }
  if (attn.patterns != nullptr) check_patterns(place);
}

void Call::check_patterns(const std::string& place) const {
  const Pos n_heads = batch.n_heads();
  for (const auto& of_heads : patterns_) {
    const auto n = static_cast<Pos>(of_heads.size());
    if (n == 1 || n == n_heads) continue;
    fail_user(place + "attn holds patterns for " + std::to_string(n) + " heads, q has " + std::to_string(n_heads));
  }
  const auto n = static_cast<Pos>(patterns_.size());
  if (n != 1 && n != batch.size()) {
    fail_user(place + "attn holds patterns for " + std::to_string(n) + " sequences, the batch has " +
              std::to_string(batch.size()));
  }
  for (Pos i = 0; i < batch.size(); ++i) check_shape(place, i);
}

void Call::check_shape(const std::string& place, Pos i) const {
  const Patterns::Shape& made_for = attn.patterns->shape(i);
  if (batch.q(i).len != made_for.q_len || batch.k(i).len != made_for.kv_len) {
    fail_user(place + "attn was made for q_len " + std::to_string(made_for.q_len) + " and kv_len " +
              std::to_string(made_for.kv_len) + ", got " + std::to_string(batch.q(i).len) + " and " +
              std::to_string(batch.k(i).len));
  }
  if (q_begin_ && *q_begin_ != made_for.q_begin) {
    fail_user(place + "attn was made for q_begin " + std::to_string(made_for.q_begin) + ", got " +
              std::to_string(*q_begin_));
  }
  if (causal_ && made_for.q_len > made_for.kv_len) {
    fail_user(place + "attn with causal needs a key for each query, got " + std::to_string(made_for.q_len) +
              " queries and " + std::to_string(made_for.kv_len) + " keys");
  }
}

void Call::want_whole(const std::string& place, Pos i) const {
  if (mask_ && mask_->per_head()) fail_user(place + "it sees all heads at once, and the mask has heads of its own");
  const Pos q_len = batch.q(i).len, kv_len = batch.k(i).len;
  if (!skips_rows_before_keys() || q_len <= kv_len) return;
  fail_user(place + "each query needs a key of its own, or q_begin, got " + std::to_string(q_len) + " queries and " +
            std::to_string(kv_len) + " keys");
}

PlannedCall Call::sequence(Pos i) const {
  PlannedCall planned;
  AttendCall& call = planned.attend;
  call.q = batch.q(i);
  call.k = batch.k(i);
  call.v = batch.v(i);
  if (!patterns_.empty()) call.where = patterns_[patterns_.size() == 1 ? 0 : static_cast<std::size_t>(i)];
  call.slopes = slopes_;
  call.sink_scores = sink_scores_;
  call.scale = scale_;
  call.softcap = softcap_;
  call.precision = precision_;
  call.q_begin = attn.patterns != nullptr ? attn.patterns->shape(i).q_begin
                                          : q_begin_.value_or(std::max<Pos>(0, call.k.len - call.q.len));
  planned.layer = layer_;
  planned.causal = causal_;
  return planned;
}

void Call::run_parts(const PlannedCall& planned, Pos i, const std::function<void(const PlannedCall&)>& run) {
  const Pos skipped = skips_rows_before_keys() ? std::max<Pos>(0, planned.attend.q.len - planned.attend.k.len) : 0;
  PlannedCall part = planned;
  AttendCall& call = part.attend;
  if (skipped > 0) {
    see_nothing(planned, skipped);
    call.q = without_rows(call.q, skipped);
    call.o = without_rows(call.o, skipped);
    if (call.lse != nullptr) call.lse += skipped * call.q.n_heads;
  }
  if (mask_ && mask_->per_head()) return run_head_by_head(part, i, skipped, run);
  if (mask_) call.bias = mask_->of(i, 0, planned.attend.q.len, batch.room());
  if (mask_) call.bias.data = call.bias.row(skipped);
  run(part);
}

void Call::run_head_by_head(const PlannedCall& planned, Pos i, Pos skipped,
                            const std::function<void(const PlannedCall&)>& run) {
  const AttendCall whole = planned.attend;
  const Pos n_heads = whole.q.n_heads;
  std::vector<float> lse(static_cast<std::size_t>(whole.q.len));
  for (Pos head = 0; head < n_heads; ++head) {
    const int number = static_cast<int>(head), kv_head = static_cast<int>(head * whole.k.n_heads / n_heads);
    const auto of_head = [&](auto span) {
      return span.size() <= 1 ? span : span.subspan(static_cast<std::size_t>(head), 1);
    };
    PlannedCall part = planned;
    AttendCall& call = part.attend;
    part.heads = {&number, 1};
    call.q = one_head(whole.q, head);
    call.o = one_head(whole.o, head);
    call.kv_head = {&kv_head, 1};
    call.where = of_head(whole.where);
    call.slopes = of_head(whole.slopes);
    call.sink_scores = of_head(whole.sink_scores);
    call.bias = mask_->of(i, head, whole.q.len + skipped, batch.room());
    call.bias.data = call.bias.row(skipped);
    if (whole.lse != nullptr) call.lse = lse.data();
    run(part);
    for (Pos row = 0; row < whole.q.len && whole.lse != nullptr; ++row) {
      whole.lse[row * n_heads + head] = lse[static_cast<std::size_t>(row)];
    }
  }
}

void Call::see_nothing(const PlannedCall& planned, Pos n_rows) const {
  const AttendCall& call = planned.attend;
  for (Pos row = 0; row < n_rows; ++row) {
    for (Pos head = 0; head < call.q.n_heads; ++head) {
      std::fill_n(call.o.row(row, head), call.o.dim, 0.0F);
      if (call.lse == nullptr) continue;
      call.lse[row * call.q.n_heads + head] =
          sink_scores_.empty() ? -std::numeric_limits<float>::infinity() : sink_scores_[static_cast<std::size_t>(head)];
    }
  }
}

}  // namespace saccade::python
