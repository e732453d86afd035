#include "saccade/linear/few.h"

#include <algorithm>
#include <array>
#include <string>

#include "saccade/base/error.h"
#include "saccade/kernel/linear_few.h"
#include "saccade/linear/shares.h"
#include "saccade/linear/tiles.h"

namespace saccade {
namespace {

/// Rows that a worker takes at a time: about this many bytes, so that none waits long for the last one.
constexpr Pos kShareBytes = 64 << 10;
constexpr Pos kFewestShared = 16;
/// Rounding fewer elements than this is not worth waking anybody for.
constexpr Pos kRoundedAlone = 16 << 10;

Pos rows_of_share(const ParamView& params) {
  return std::max(kFewestShared, kShareBytes / std::max<Pos>(1, params.row_stride) / kFewestShared * kFewestShared);
}

Pos shares_of(const ParamView& params) { return detail::over(params.n_rows, rows_of_share(params)); }

}  // namespace

bool can_multiply_few(ParamFormat type, Pos dim) noexcept { return kernel::is_few(type) && can_multiply(type, dim); }

void linear_few(const LinearCall& call, Team& team, LinearWorkspace& workspace) {
  detail::check_call(call);
  const auto token_bytes = static_cast<std::size_t>(kernel::few_token_bytes(call.dim));
  // Types differ in what they ask of a rounded token: each that occurs has tokens of its own.
  std::array<std::ptrdiff_t, kParamFormats> begins;
  begins.fill(-1);
  std::size_t n_bytes = 0;
  Pos shares = 0;
  for (const LinearProduct& product : call.products) {
    const ParamFormat type = product.params.type;
    if (!can_multiply_few(type, call.dim)) {
      fail_user("linear_few: params of type " + std::string(block_of(type).name) + " are not for few tokens");
    }
    shares += shares_of(product.params);
    std::ptrdiff_t& begin = begins[static_cast<std::size_t>(type)];
    if (begin >= 0) continue;
    begin = static_cast<std::ptrdiff_t>(n_bytes);
    n_bytes += token_bytes * static_cast<std::size_t>(call.n_tokens);
  }
  if (call.n_tokens == 0 || shares == 0) return;
  Buffer& room = workspace.rooms().tokens;
  room.reserve(n_bytes);
  const auto tokens_for = [&](ParamFormat type) { return room.data() + begins[static_cast<std::size_t>(type)]; };

  const auto round = [&](Pos t) {
    for (int type = 0; type < kParamFormats; ++type) {
      if (begins[static_cast<std::size_t>(type)] < 0) continue;
      const auto format = static_cast<ParamFormat>(type);
      kernel::fix_few_token(format, call.x + t * call.x_stride, call.dim,
                            tokens_for(format) + t * static_cast<std::ptrdiff_t>(token_bytes));
    }
  };
  if (call.n_tokens * call.dim <= kRoundedAlone) {
    for (Pos t = 0; t < call.n_tokens; ++t) round(t);
  } else {
    parallel_for(team, call.n_tokens, [&](Pos t, int) { round(t); });
  }

  parallel_for(team, shares, [&](Pos share, int) {
    const LinearProduct* product = call.products.data();
    for (; share >= shares_of(product->params); ++product) share -= shares_of(product->params);
    const ParamView& params = product->params;
    const Pos row = share * rows_of_share(params), n_rows = std::min(rows_of_share(params), params.n_rows - row);
    kernel::multiply_few(params.type, params.row(row), params.row_stride, static_cast<int>(n_rows), call.dim,
                         tokens_for(params.type), static_cast<int>(call.n_tokens), product->y + row, product->y_stride);
  });
}

}  // namespace saccade
