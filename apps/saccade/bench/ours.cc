#include "apps/saccade/bench/ours.h"

#include <utility>

#include "saccade/kernel/targets.h"

namespace saccade::app {

OurAttention::OurAttention(const Layers& data, Choice choice, Team& team)
    : data_(data),
      choice_(std::move(choice)),
      team_(team),
      o_(static_cast<std::size_t>(data.shape().q_len * data.shape().n_heads * data.shape().head_dim)) {}

void OurAttention::run() {
  const Shape& shape = data_.shape();
  if (kernel::chosen_target() != choice_.target) kernel::force_target(choice_.target);
  AttendCall call;
  call.q = data_.q_view();
  call.where = choice_.where;
  call.scale = shape.scale();
  call.precision = choice_.precision;
  call.q_begin = shape.q_begin();
  const auto row = static_cast<std::ptrdiff_t>(shape.head_dim * sizeof(float));
  call.o = {o_.data(), shape.q_len, shape.n_heads, shape.head_dim, row * shape.n_heads, row};
  for (Pos layer = 0; layer < shape.n_layers; ++layer) {
    call.k = data_.k_view(layer);
    call.v = data_.v_view(layer);
    cost_ = attend(call, team_, workspace_);
  }
}

}  // namespace saccade::app
