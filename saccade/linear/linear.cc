#include "saccade/linear/linear.h"

#include <algorithm>
#include <vector>

#include "saccade/kernel/bf16.h"
#include "saccade/linear/panels.h"
#include "saccade/linear/shares.h"
#include "saccade/linear/tiles.h"

namespace saccade {
namespace {

using detail::FixedTokens;
using detail::n_tiles;
using detail::TileRoom;
using kernel::kTileParams;

/// In 16-bit fixed point.
void linear_i16(const LinearCall& call, Team& team, LinearWorkspace::Rooms& rooms) {
  Pos tiles = 0;
  for (const LinearProduct& product : call.products) tiles += n_tiles(product.params);
  const Pos batch = detail::batch_of(call.n_tokens, 1);
  rooms.tokens.reserve(FixedTokens(Layout(), batch, call.dim).bytes());
  rooms.reserve(team.size(), TileRoom(Layout(), batch).bytes);

  for (Pos first = 0; first < call.n_tokens; first += batch) {
    const Pos n_tokens = std::min(batch, call.n_tokens - first);
    const FixedTokens tokens(Layout(rooms.tokens.data()), n_tokens, call.dim);
    constexpr Pos kTogether = detail::kRoundedTogether;
    parallel_for(team, (n_tokens + kTogether - 1) / kTogether, [&](Pos item, int) {
      const Pos begin = item * kTogether;
      tokens.fix(begin, std::min(kTogether, n_tokens - begin), call.x + (first + begin) * call.x_stride, call.x_stride);
    });

    const Pos parts = detail::parts_of(n_tokens, tiles, team.size());
    parallel_for(team, tiles * parts, [&](Pos item, int worker) {
      const Pos part = item % parts;
      Pos tile = item / parts;
      const LinearProduct* product = call.products.data();
      for (; tile >= n_tiles(product->params); ++product) tile -= n_tiles(product->params);
      const TileRoom room(Layout(rooms.workers[static_cast<std::size_t>(worker)].data()), batch);
      const Range which{n_tokens * part / parts, n_tokens * (part + 1) / parts};
      const Pos row = tile * kTileParams;
      detail::multiply_tile(product->params, row, tokens, which,
                            product->y + (first + which.begin) * product->y_stride + row, product->y_stride, room);
    });
  }
}

}  // namespace

LinearWorkspace::LinearWorkspace() : rooms_(std::make_unique<Rooms>()) {}
LinearWorkspace::~LinearWorkspace() = default;
LinearWorkspace::LinearWorkspace(LinearWorkspace&&) noexcept = default;
LinearWorkspace& LinearWorkspace::operator=(LinearWorkspace&&) noexcept = default;

bool can_multiply(ParamFormat type, Pos dim) noexcept {
  return kernel::has_linear() && dim > 0 && dim % block_of(type).n_params == 0;
}

Precision linear_precision(Precision asked) noexcept {
  if (asked != Precision::kAuto) return asked;
  return kernel::has_bf16_tiles() ? Precision::kBf16 : Precision::kI16;
}

void linear(const LinearCall& call, Team& team, LinearWorkspace& workspace) {
  detail::check_call(call);
  Pos n_rows = 0;
  for (const LinearProduct& product : call.products) n_rows += product.params.n_rows;
  if (call.n_tokens == 0 || n_rows == 0) return;
  const bool in_tiles = linear_precision(call.precision) == Precision::kBf16;
  in_tiles ? detail::linear_bf16(call, team, workspace.rooms()) : linear_i16(call, team, workspace.rooms());
}

}  // namespace saccade
