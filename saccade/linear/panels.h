#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "saccade/base/buffer.h"
#include "saccade/kernel/linear_bf16.h"
#include "saccade/linear/linear.h"
#include "saccade/linear/tiles.h"

// linear() and linear_experts() in bf16 tiles: tokens in tiles, and a panel of parameters times some of them.
namespace saccade::detail {

/// Tokens in bf16 tiles, 16 to a row of tiles: [places / 16, steps, kTileWords].
class RoundedTokens {
 public:
  /// Without memory it only counts. `terms`: kernel::terms_of the parameters they will meet.
  RoundedTokens(Layout layout, Pos n_places, Pos dim, int terms);

  std::size_t bytes() const { return bytes_; }
  Pos dim() const { return dim_; }
  int terms() const { return terms_; }
  std::ptrdiff_t stride() const { return n_steps_ * kernel::kTileWords; }  ///< from 16 places to the next

  /// Rounds the 16 tokens of a row of tiles; `x(i)`: the numbers of the i-th, or null, which fills its place with
  /// zeros.
  template <class Tokens>
  void round(Pos item, const Tokens& x) const {
    constexpr Pos kDims = 512;  // 16 tokens of them are 16 KiB, which stay at hand until all their lines are whole
    for (Pos dim = 0; dim < dim_; dim += kDims) {
      for (Pos i = 0; i < kernel::kTileSide; ++i)
        round(item * kernel::kTileSide + i, x(i), {dim, std::min(dim + kDims, dim_)});
    }
  }
  /// From a dimension on, a multiple of 32. `place`: a multiple of 16.
  const std::uint32_t* tiles(Pos place, Pos first_dim) const;

 private:
  void round(Pos place, const float* x, Range dims) const;

  Pos dim_, n_steps_;
  int terms_;
  std::uint32_t* words_;
  std::size_t bytes_;
};

/// How much of a matrix a worker decodes at a time.
struct PanelShape {
  Pos n_rows = 0, n_dims = 0;  ///< multiples of 32; n_dims at least the matrix's: all of it
};

/// Panels for `n_rows` rows together: as few as the cache allows, but enough for all workers.
PanelShape panel_shape(Pos n_rows, Pos dim, int terms, Pos n_workers);

/// What one worker needs: a panel, and where the results of each of n_places tokens go.
struct PanelRoom {
  PanelRoom(Layout layout, PanelShape shape, int terms, Pos n_places);
  std::uint32_t* panel;
  float** rows;
  std::size_t bytes;
};

/// Some rows of a matrix times some tokens, on the matrix unit if there is one. `results`: of the first of those rows
/// and tokens. `places.begin`: a multiple of 16.
void multiply_panel(const ParamView& params, Range rows, const RoundedTokens& tokens, Range places,
                    const PanelShape& shape, kernel::Bf16Results results, const PanelRoom& room);

/// linear() for products that passed its checks.
void linear_bf16(const LinearCall& call, Team& team, LinearWorkspace::Rooms& rooms);

}  // namespace saccade::detail
