#include "saccade/linear/linear.h"

#include <algorithm>
#include <string>
#include <vector>

#include "saccade/base/error.h"
#include "saccade/linear/tiles.h"

namespace saccade {
namespace {

using detail::FixedTokens;
using detail::n_tiles;
using detail::TileRoom;
using kernel::kTileParams;

/// Fewer tokens than this are not worth decoding a tile for, if only balance asks for it.
constexpr Pos kFewestTokens = 96;

/// Into how many parts the tokens of a batch are cut, so that no worker waits for long.
Pos parts_of(Pos n_tokens, Pos tiles, Pos n_workers) {
  const Pos most = std::max<Pos>(1, n_tokens / kFewestTokens);
  for (Pos parts = 1; parts < most; ++parts) {
    const Pos rounds = (tiles * parts + n_workers - 1) / n_workers;
    if (tiles * parts * 10 >= rounds * n_workers * 9) return parts;  // at most a tenth of the time idle
  }
  return most;
}

void check(const LinearCall& call) {
  const auto fail = [](const std::string& line) { fail_user("linear: " + line); };
  if (call.n_tokens < 0 || call.dim < 1) {
    fail("n_tokens must be >= 0 and dim >= 1, got " + std::to_string(call.n_tokens) + " and " +
         std::to_string(call.dim));
  }
  if (call.x_stride < call.dim) {
    fail("x_stride must be >= dim " + std::to_string(call.dim) + ", got " + std::to_string(call.x_stride));
  }
  for (const LinearProduct& product : call.products) {
    detail::check_params(product.params, call.dim);
    if (product.y_stride < product.params.n_rows) {
      fail("y_stride must be >= n_rows " + std::to_string(product.params.n_rows) + ", got " +
           std::to_string(product.y_stride));
    }
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

void linear(const LinearCall& call, Team& team, LinearWorkspace& workspace) {
  check(call);
  Pos tiles = 0;
  for (const LinearProduct& product : call.products) tiles += n_tiles(product.params);
  if (call.n_tokens == 0 || tiles == 0) return;

  const Pos n_batches = (call.n_tokens + detail::kBatch - 1) / detail::kBatch;
  const Pos batch = (call.n_tokens + n_batches - 1) / n_batches;
  LinearWorkspace::Rooms& rooms = workspace.rooms();
  rooms.tokens.reserve(FixedTokens(Layout(), batch, call.dim).bytes());
  rooms.reserve(team.size(), batch);

  for (Pos first = 0; first < call.n_tokens; first += batch) {
    const Pos n_tokens = std::min(batch, call.n_tokens - first);
    const FixedTokens tokens(Layout(rooms.tokens.data()), n_tokens, call.dim);
    constexpr Pos kTogether = detail::kRoundedTogether;
    parallel_for(team, (n_tokens + kTogether - 1) / kTogether, [&](Pos item, int) {
      const Pos begin = item * kTogether;
      tokens.fix(begin, std::min(kTogether, n_tokens - begin), call.x + (first + begin) * call.x_stride, call.x_stride);
    });

    const Pos parts = parts_of(n_tokens, tiles, team.size());
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

}  // namespace saccade
