#include "python/src/batch.h"

#include "saccade/base/error.h"

namespace saccade::python {
namespace {

std::vector<Pos> read_lengths(nanobind::handle object, const std::string& name) {
  return object.is_none() ? std::vector<Pos>{} : read_ints(object, name);
}

/// 0, rising, the last one at most `total`.
void check_cuts(const std::vector<Pos>& cuts, const std::string& name, Pos total) {
  const auto fail = [&](const std::string& rule) { fail_user(name + " " + rule); };
  if (cuts.size() < 2) fail("must have batch + 1 entries, at least two");
  if (cuts.front() != 0) fail("must begin with 0, got " + std::to_string(cuts.front()));
  for (std::size_t i = 1; i < cuts.size(); ++i) {
    if (cuts[i] < cuts[i - 1])
      fail("must never fall, got " + std::to_string(cuts[i]) + " after " + std::to_string(cuts[i - 1]));
  }
  if (cuts.back() != total)
    fail("must end with the total length " + std::to_string(total) + ", got " + std::to_string(cuts.back()));
}

}  // namespace

Batch::Batch(const std::string& place, const Given& given)
    : q_(given.q, place + "q"), k_(given.k, place + "k"), one_query_(given.decodes && q_.ndim() == 3) {
  if (!given.v.is_none()) v_.emplace(given.v, place + "v");
  cu_q_ = read_lengths(given.cu_seqlens, place + "cu_seqlens");
  cu_k_ = read_lengths(given.cu_seqlens_k, place + "cu_seqlens_k");
  kv_lens_ = read_lengths(given.kv_lens, place + "kv_lens");
  if (cu_q_.empty() && !cu_k_.empty()) fail_user(place + "cu_seqlens_k needs cu_seqlens too");
  if (cu_k_.empty()) cu_k_ = cu_q_;
  check_rows();
  size_ = checked_size(place);
}

/// What holds for each array by itself.
void Batch::check_rows() const {
  const int n_dims = packed() ? 3 : 4;
  for (const Array* array : {&q_, &k_, &values()}) {
    if (array->ndim() != n_dims && !(array == &q_ && one_query_)) {
      fail_user(array->name() +
                (packed() ? " must be [total, heads, head_dim] where cu_seqlens is given"
                          : " must be [batch, seq, heads, head_dim]") +
                ", got shape " + array->shape_text());
    }
    array->float_dtype();
    array->want_contiguous_rows();
  }
}

/// How many sequences there are, once it is clear that q, k and v agree on that.
Pos Batch::checked_size(const std::string& place) const {
  if (packed()) {
    check_cuts(cu_q_, place + "cu_seqlens", q_.shape(0));
    check_cuts(cu_k_, place + "cu_seqlens_k", k_.shape(0));
    if (v_ && v_->shape(0) != k_.shape(0)) fail_user(place + "k and v must have the same length");
    if (cu_q_.size() != cu_k_.size())
      fail_user(place + "cu_seqlens and cu_seqlens_k must have the same number of entries");
    return static_cast<Pos>(cu_q_.size()) - 1;
  }
  const Pos size = q_.shape(0);
  if (k_.shape(0) != size || (v_ && v_->shape(0) != size)) {
    fail_user(place + "q, k and v must have one batch size, got " + std::to_string(size) + ", " +
              std::to_string(k_.shape(0)) + (v_ ? " and " + std::to_string(v_->shape(0)) : ""));
  }
  if (!kv_lens_.empty() && static_cast<Pos>(kv_lens_.size()) != size) {
    fail_user(place + "kv_lens must have one entry a sequence (" + std::to_string(size) + "), got " +
              std::to_string(kv_lens_.size()));
  }
  for (const Pos len : kv_lens_) {
    if (len < 0 || len > k_.shape(1)) {
      fail_user(place + "kv_lens must be in [0, kv_len] (" + std::to_string(k_.shape(1)) + "), got " +
                std::to_string(len));
    }
  }
  return size;
}

View Batch::q(Pos i) const {
  if (packed()) {
    View view = view_of(q_, first_row(i) * q_.stride_bytes(0));
    view.len = cu_q_[static_cast<std::size_t>(i) + 1] - first_row(i);
    return view;
  }
  if (!one_query_) return view_of(q_, i * q_.stride_bytes(0));
  return {q_.data() + i * q_.stride_bytes(0), q_.float_dtype(), 1, q_.shape(1), q_.shape(2), 0, q_.stride_bytes(1)};
}

View Batch::keys(const Array& array, Pos i) const {
  if (packed()) {
    const Pos first = cu_k_[static_cast<std::size_t>(i)];
    View view = view_of(array, first * array.stride_bytes(0));
    view.len = cu_k_[static_cast<std::size_t>(i) + 1] - first;
    return view;
  }
  View view = view_of(array, i * array.stride_bytes(0));
  if (!kv_lens_.empty()) view.len = std::min(view.len, kv_lens_[static_cast<std::size_t>(i)]);
  return view;
}

Pos Batch::first_row(Pos i) const {
  if (packed()) return cu_q_[static_cast<std::size_t>(i)];
  return one_query_ ? i : i * q_.shape(1);
}

Pos Batch::n_rows() const { return packed() || one_query_ ? q_.shape(0) : q_.shape(0) * q_.shape(1); }

std::vector<Pos> Batch::shape_like_q(Pos last) const {
  std::vector<Pos> shape;
  for (int i = 0; i + 1 < q_.ndim(); ++i) shape.push_back(q_.shape(i));
  if (last >= 0) shape.push_back(last);
  return shape;
}

}  // namespace saccade::python
